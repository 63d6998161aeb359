"""From pictures of faces to a run folder: sources, curation, map, collator, Trainer, evaluation."""
