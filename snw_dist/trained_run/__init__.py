"""A run as a folder: what it was trained on, whether it may be gone on with, and how it ended."""
