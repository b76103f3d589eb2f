"""The machine: clock, files, processors."""
