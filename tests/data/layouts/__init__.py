"""What people hold their faces in: small data sets in many layouts, each with the one outcome that is right.

A layout is a function that draws its pictures into a folder; its decorator says what the curation command must do with
them. `python -m tests.data.layouts [--checkout DIR]` prints the table of layouts and outcomes, for the code in DIR.
"""
