"""What is in memory: series, windows, units."""
