"""Measurements, run by hand: `python -m tests.bench.NAME`; each says what it is compared with."""
