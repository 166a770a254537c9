"""Protein-pair models on clusters: prepare, embed with ESM C, train, evaluate."""

__version__ = "0.1.0"
