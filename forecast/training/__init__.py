"""The only wing with torch."""
