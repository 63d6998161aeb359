"""Several runs together: seeds, comparisons, tables."""

ONLY_CLASSES = (
    "studies are of runs with classes; run a recipe with scores once for each seed with train_hf.py --seed N "
    "--output_dir DIR, and read evaluation.json"
)
