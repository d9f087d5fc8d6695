"""Files: how values and arrays are written, read without executing anything, and replaced."""
