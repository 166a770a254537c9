"""Screening: the best ligands of a library for each receptor, by a network's own score."""
