"""Train a pair network on stored embeddings with DeepSpeed; exact, resumable, on any number of ranks."""
