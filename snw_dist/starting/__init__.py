"""A first configuration from a user's own files: what is in them is looked at, and what is guessed is said with why."""
