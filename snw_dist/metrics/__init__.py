"""Figures of scores against labels, their curves, and their intervals."""
