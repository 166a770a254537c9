"""A run as a folder: what it was trained on, and how it ended."""
