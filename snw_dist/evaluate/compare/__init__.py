"""Several runs or folds side by side."""
