"""The runs of a folder: how far each has come, what it takes, how two differ, and what may be deleted."""
