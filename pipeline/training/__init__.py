"""From the curated table to trained weights."""
