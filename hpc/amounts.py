"""Numbers as people read them: things counted, times, sizes, figures of a chart."""

from __future__ import annotations

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count_of(count: int, thing: str) -> str:
    """Such as `1 row` or `2,000 rows`; `thing` is one of them, and several have an s at the end."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def duration(seconds: float) -> str:
    """Such as `4.2 s`, `3 min 05 s`, `2 h 07 min` or, from two days on, `3 days 04 h`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02d} min" if hours < 48 else f"{hours // 24:,} days {hours % 24:02d} h"


def short(value: float, unit: str = "") -> str:
    """Three digits and a letter for thousands and more: `230 M`, `4.20 MB`, `1.94 GFLOP`."""
    for size, letter in _STEPS:
        if value >= 0.9995 * size:
            scaled = value / size
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{scaled:.{digits}f} {letter}{unit}"
    return f"{value:.0f} {unit}".rstrip()


def number(value: float) -> str:
    """Such as `0.517`, `12.7` or `1.2e-05`; whole numbers as they are."""
    if value == int(value) and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.2e}"
