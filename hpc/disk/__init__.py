"""Reading and writing files: whole or not at all, bounded, strict, and with errors that say what to do."""
