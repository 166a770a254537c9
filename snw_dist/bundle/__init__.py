"""What is handed on: one or several trained networks with all that is needed to score pairs and to trust the scores."""
