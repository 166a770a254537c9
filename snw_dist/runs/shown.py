"""Sizes and ages for people."""

from __future__ import annotations


def size(num_bytes: int) -> str:
    """Such as `512 B`, `4.2 MB` or `1.3 TB`: powers of 1,000."""
    value, units = float(num_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if value >= 99.5 or units[0] == "B" else f"{value:.1f} {units[0]}"


def age(seconds: float) -> str:
    """Such as `just now`, `5 min ago`, `3 h ago` or `12 days ago`."""
    minutes = max(0, int(seconds)) // 60
    if minutes < 1:
        return "just now"
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 2 * 1440 else f"{minutes // 1440} days ago"
