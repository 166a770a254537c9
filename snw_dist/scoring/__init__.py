"""Scores of pairs that nobody has prepared or embedded: `PairScorer`, by a bundle alone."""
