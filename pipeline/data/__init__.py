"""From whatever a person holds to one table without leaks: read, measured, split, checked."""
