"""Where the cells come from."""
