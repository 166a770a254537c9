"""Metrics, their intervals, a sequence-only baseline and pictures for the held-out splits."""
