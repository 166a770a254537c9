"""States and figures of jobs in words that say what happens, for people who need not know Slurm or our names."""

from __future__ import annotations

from hpc.amounts import duration, number
from hpc.curves import Curve
from hpc.progress import ProgressSummary
from hpc.submit.pending import plainly
from hpc.submit.submitted import JobState

_MOST_FIGURES = 9
_LEAST_WAIT = 0.005
_STATES = {"pending": "waiting in the queue", "requeued": "queued again"}
_SHARES = {
    "data_wait_share": "of the time waiting for data",
    "saves_share": "saving",
    "machine_share": "of what the machine can do",
}


def describe(state: JobState, num_tasks: int) -> str:
    """A state in words: `running on 4 ranks`, `queued again (attempt 2): no free nodes yet (Resources)`."""
    text = _STATES.get(state.status, state.status)
    if state.status == "running":
        text = f"running on {num_tasks} rank{'s' if num_tasks > 1 else ''}"
    if state.attempt > 1:
        text = f"{text} (attempt {state.attempt})"
    return f"{text}: {why_so(state)}" if state.message else text


def why_so(state: JobState) -> str:
    """What is said of a state beside it; Slurm's reason for a job that waits in words, with its name."""
    message = state.message or ""
    return plainly(message) if state.status in _STATES else message


def time_left(item: ProgressSummary) -> str:
    """Time left in words; empty while it is not known."""
    if item.eta_s is None or item.done >= item.total:
        return ""
    hours, rest = divmod(round(item.eta_s), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d} left"


def figures(item: ProgressSummary) -> str:
    """The first figures: `loss 0.5, 429 pairs a second, 2.0% of the time waiting for data`; no wait that is 0%."""
    shown = {name: value for name, value in item.figures.items() if not _is_nothing(name, value)}
    return ", ".join(_figure(name, value) for name, value in list(shown.items())[:_MOST_FIGURES])


def _is_nothing(name: str, value: float | None) -> bool:
    return name in ("data_wait_share", "saves_share") and value is not None and value < _LEAST_WAIT


def _figure(name: str, value: float | None) -> str:
    words = name.replace("_", " ")
    if value is None:
        return f"{words} not known"
    if name.endswith("_share"):
        part = "less than 0.1%" if 0 < value < 0.001 else f"{100 * value:.{1 if value < 0.1 else 0}f}%"
        return f"{part} {_SHARES.get(name, words.removesuffix(' share'))}"
    if name.endswith("_per_s"):
        return f"{value:,.0f} {words.removesuffix(' per s')} a second"
    if name.endswith("_s"):
        return f"{words.removesuffix(' s')} {duration(value)}"
    return f"{words} {value:.4g}"


def summary_line(item: ProgressSummary) -> str:
    """Progress of one kind in a line, for where there is no terminal."""
    parts = (f"{item.kind} {item.done:,} / {item.total:,} {item.unit}", time_left(item), figures(item))
    return ", ".join(part for part in parts if part)


def in_words(curve: Curve) -> str:
    """Such as `AUROC: 0.61 at step 81, 0.903 at step 972; lowest 0.61, highest 0.909`."""
    name = curve.name if curve.name == curve.chart else f"{curve.chart}, {curve.name}"
    first, last = (f"{number(curve.y[at])} at step {curve.x[at]:,.0f}" for at in (0, -1))
    return f"{name}: {first}, {last}; lowest {number(min(curve.y))}, highest {number(max(curve.y))}"
