"""The Zarr store of embeddings: what lies where, who writes it, how it is read, checked and mended."""
