"""What can be set: the recipe, its files, the command line."""
