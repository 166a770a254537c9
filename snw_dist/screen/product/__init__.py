"""The best partners of each vector by a network's own score: arithmetic alone, no file and no network."""
