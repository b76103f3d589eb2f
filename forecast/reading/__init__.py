"""How a file is read, step by step: bytes, dialect, columns, numbers, stamps, a regular grid. reader.py is the door."""
