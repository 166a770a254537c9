"""Where a network with attention looks, for chosen pairs."""
