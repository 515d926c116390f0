"""Documents to chosen documents: clean and measure once, then decide, deduplicate and split in SQL."""
