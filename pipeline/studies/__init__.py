"""Several runs together: seeds, comparisons, tables."""
