"""ESM C itself: packed inference without padding, and how much goes through it at once."""
