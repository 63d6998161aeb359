"""Any expression classifier under one protocol: its scores on data with labels, and a report."""
