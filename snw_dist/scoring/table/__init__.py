"""Tables of pairs: every row that comes in goes out with its scores, or is named with the reason why it has none."""
