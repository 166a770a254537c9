"""The embedding map: where sequences lie, by the encoder and by the network."""
