"""Embed every distinct sequence once with ESM C, on any number of ranks, into one Zarr v3 store."""
