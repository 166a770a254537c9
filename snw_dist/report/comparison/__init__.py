"""The report of a comparison of networks."""
