"""The report of one run: its files become sections."""
