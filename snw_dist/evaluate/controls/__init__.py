"""Simple predictors that a network must beat."""
