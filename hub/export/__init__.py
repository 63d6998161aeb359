"""The weights of a run in the formats of other runtimes."""
