"""Weights of ESM C as their publishers save them, and the reference that they are checked against."""
