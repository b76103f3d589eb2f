"""The trained thing, on numpy."""
