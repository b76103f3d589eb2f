"""Runs: kept, read back, promoted."""
