"""Cells: what they say."""
