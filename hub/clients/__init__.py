"""Every client of a published folder, asked in a fresh process."""
