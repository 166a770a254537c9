"""How many of the hits of a screen are false, and which may be kept so that it is no more than a given share."""
