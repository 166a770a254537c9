"""From cells to clean sequences and pairs: what is taken, what is rejected, whose id is meant."""
