"""Training, validation and test sets, clusters of like sequences, and made negatives."""
