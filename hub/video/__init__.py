"""Pictures and videos to numbers: one row per face and sampled frame, as csv or JSON lines, and a plot of them.

`frames` reads videos, `tracks` follows faces from frame to frame, `smoothing` averages their scores over time, `rows`
walks this line, `table` writes the rows, and `plot` draws them.
"""
