"""Networks that compare a ligand with a receptor from stored embeddings, and their losses."""
