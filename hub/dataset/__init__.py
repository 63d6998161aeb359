"""Publish a curated folder as a data set: with pictures where every source allows it, otherwise without a pixel.

Without pixels it has the labels, votes, keys, hashes and groups of copies, and `rebuild.py`, which makes the whole data
set again from pictures that a person holds, and checks each by its hash.
"""
