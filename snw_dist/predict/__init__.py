"""What a trained network needs to be used: its export, the batches it reads, its scores."""
