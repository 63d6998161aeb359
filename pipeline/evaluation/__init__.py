"""From predictions to figures with intervals."""
