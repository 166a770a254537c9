"""A look at jobs as lines of text, made to fit the terminal: pure functions, the same for all who show jobs.

What does not fit is left out in an order: first the charts become one line, then they go, then of each job one line
stays, those that have ended first. What is left out is said.
"""

from __future__ import annotations

import re
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rich.text import Text

from hpc.amounts import duration, number
from hpc.curves import Curve
from hpc.errors import ExitCode
from hpc.progress import ProgressRecord, ProgressSummary
from hpc.shown import printable
from hpc.submit.chart import chart, sparkline
from hpc.submit.look import Look
from hpc.submit.words import describe, figures, in_words, time_left, why_so

_MOST_RANKS = 8
"""In a live view; a table of more says the slowest and those that have been silent for longest."""
_MOST_RESTARTS = 3
_LONGEST_NAME = 40
"""To which the names of jobs in a table are filled up."""
_SILENT_S = 60.0
_LOGGED = re.compile(r"^(\d\d:\d\d:\d\d) r\d+ [A-Z]+ +[\w.]+: ")
"""The beginning of a line of our logs."""
_STYLES = {"running": "bold green", "done": "green", "failed": "bold red", "cancelled": "yellow"}
HEADER, SHORT, FULL = 0, 1, 2
"""How much is shown of a job."""


@dataclass(frozen=True)
class Room:
    """Where lines are shown."""

    width: int | None
    """Columns; None: no terminal, a line may be as long as it is."""
    height: int | None = None
    """Lines; None: as many as there are."""
    plain: bool = False
    """No letters but those of ASCII."""

    @property
    def columns(self) -> int:
        """For what is drawn."""
        return self.width or 100


def jobs_lines(looks: Sequence[Look], room: Room, rest: int = FULL, now: float | None = None) -> list[Text]:
    """Lines for all jobs, as much of each as there is room for; the first ones are the most important.

    `rest` is the most that is shown of those that have ended.
    """
    now = time.time() if now is None else now
    for most, of_ended in ((FULL, FULL), (FULL, SHORT), (FULL, HEADER), (SHORT, HEADER), (HEADER, HEADER)):
        least = [min(of_ended, rest) if look.state.ended and len(looks) > 1 else most for look in looks]
        widths = _widths([look for look, detail in zip(looks, least, strict=True) if detail == HEADER])
        blocks = [job_lines(look, room, detail, now, widths) for look, detail in zip(looks, least, strict=True)]
        lines = [line for block in blocks for line in block]
        if len(lines) <= (room.height or len(lines)):
            return lines
    kept = max(0, (room.height or 1) - 1)
    counts = Counter(look.state.status for look in looks[kept:])
    left = ", ".join(f"{count} {status}" for status, count in counts.items())
    return [*lines[:kept], cropped(Text(f"... and {len(looks) - kept} more jobs: {left}", "dim"), room)]


def _widths(looks: Sequence[Look]) -> tuple[int, int]:
    """Of names and numbers of jobs that have a line each: so they are a table."""
    return (
        min(_LONGEST_NAME, max((len(printable(look.job.name)) for look in looks), default=0)),
        max((len(_number(look)) for look in looks), default=0),
    )


def job_lines(look: Look, room: Room, most: int, now: float, widths: tuple[int, int] = (0, 0)) -> list[Text]:
    """Lines for one job; `widths` are those of its name and its number, where it has one line."""
    if most == HEADER:
        return [_header(look, room, most, widths)]
    lines = _headed(look, room, most)
    for item in look.progress:
        lines.append(_bar(item, room))
        if shown := figures(item):
            lines += wrapped(shown, room, "dim", indent=4)
    if look.state.status == "running" and (look.starts_again or not look.ranks):
        lines += wrapped(_starting(look), room, "dim", indent=2)
    for text in (_restarts(look, now, room), _checkpoint(look, now), _silent(look, now)):
        lines += [line for part in text for line in wrapped(part, room, indent=2)]
    if look.state.ended and look.state.message and look.state.status != "done":
        lines += wrapped(look.state.message, room, _STYLES.get(look.state.status, ""), indent=2)
    if (advice := look.job.advice(look.state)) is not None:
        lines += wrapped(advice, room, "bold", indent=2)
    if most == FULL:
        if not look.state.ended:
            lines += ranks_lines(look.ranks, room, now)
        lines += charts(look.curves, room)
        lines += _log(look, room)
    else:
        lines += _sparklines(look.curves, room)
    return lines


def _headed(look: Look, room: Room, most: int) -> list[Text]:
    """The header; where it has no room for why a job is as it is, that stands below."""
    line = _header(look, room, most)
    if room.width is None or line.cell_len <= room.width or look.state.ended or not look.state.message:
        return [cropped(line, room)]
    short = replace(look, state=replace(look.state, message=None))
    return [cropped(_header(short, room, most), room), *wrapped(why_so(look.state), room, "yellow", indent=2)]


def _number(look: Look) -> str:
    return f"job {look.job.job_id} ({look.job.cluster})"


def _header(look: Look, room: Room, most: int, widths: tuple[int, int] = (0, 0)) -> Text:
    job, state = look.job, look.state
    stopped = state.status == "failed" and state.exit_code == ExitCode.PREEMPTED
    in_a_word = describe(replace(state, message=None) if state.ended else state, job.num_tasks)
    if stopped:
        in_a_word = f"stopped, exit code {state.exit_code}: the same command goes on from what is saved"
    elif state.status == "failed":
        in_a_word += f", exit code {state.exit_code}"
    line = Text(no_wrap=True).append(f"{printable(job.name):<{widths[0]}}", "bold")
    line.append(f"  {_number(look):<{widths[1]}}  ", "dim")
    line.append(printable(in_a_word), _STYLES.get("" if stopped else state.status, "bold yellow"))
    return cropped(line.append_text(_so_far(look, room)), room) if most == HEADER else line


def _so_far(look: Look, room: Room) -> Text:
    """Of a job that has one line: how far it is and its last value, or why it has failed."""
    state, text = look.state, Text()
    if look.progress:
        item = look.progress[-1]
        text.append(f"  {item.kind} {item.done:,} / {item.total:,} {item.unit} {time_left(item)}".rstrip())
    if state.status == "failed" and state.exit_code != ExitCode.PREEMPTED:
        return text.append(f"  {printable((state.message or '').partition(chr(10))[0])}", "red")
    if look.progress and look.curves:
        text.append(f"  {look.curves[-1].name} {number(look.curves[-1].y[-1])} ")
        text.append(sparkline(look.curves[-1].y, 12, room.plain), "bold yellow")
    return text


def _bar(item: ProgressSummary, room: Room) -> Text:
    """One kind of work: bar, share, rate, time left."""
    width = 14 if room.columns < 100 else 30
    full = width * item.done // max(item.total, 1)
    glyphs = "#." if room.plain else "━─"
    line = Text(f"  {printable(item.kind):<8} ", no_wrap=True)
    if room.width is not None:
        line.append(glyphs[0] * full, "green").append(glyphs[1] * (width - full) + " ", "dim")
    line.append(f"{item.done:,} / {item.total:,} {printable(item.unit)}")
    if item.rate > 0 and item.eta_s is not None:
        line.append(f"  {number(item.rate)} a second", "dim")
    if left := time_left(item):
        line.append(f"  {left}", "bold")
    return cropped(line, room)


def _starting(look: Look) -> str:
    """What a job does that runs and has not worked yet: it loads its programs, which takes half a minute or more."""
    if look.starts_again:
        return "starting again"
    logged = _LOGGED.sub(r"at \1: ", look.starting)
    return f"starting; last in its log, {logged}" if look.starting else "starting; nothing is in its log yet"


def _restarts(look: Look, now: float, room: Room) -> list[str]:
    restarts = look.restarts
    if not restarts:
        return []
    shown = restarts if room.height is None else restarts[-_MOST_RESTARTS:]
    more = f", the last {len(shown)}" if len(shown) < len(restarts) else ""
    lines = [f"started {f'{len(restarts)} times' if len(restarts) > 1 else 'once'} before{more}:"]
    unit = f" {look.progress[0].unit}" if look.progress else ""
    for each in shown:
        job = "" if each.job == look.job.job_id else f"job {each.job}, "
        ago = "" if each.ended is None else f", {_since(each.ended, now)} ago"
        done = "" if each.done is None else f"; saved at {each.done:,}{unit}"
        lines.append(f"  {job}attempt {each.attempt}{ago}: {each.why.splitlines()[0]}{done}")
    return lines


def _checkpoint(look: Look, now: float) -> list[str]:
    found = look.checkpoint
    return [] if found is None else [f"last checkpoint {found.name}, {_since(found.saved, now)} old"]


def _silent(look: Look, now: float) -> list[str]:
    """Who runs and has said nothing for a while."""
    newest = max((record.updated for record in look.ranks), default=now)
    if look.state.status != "running" or look.starts_again or now - newest < _SILENT_S:
        return []
    return [f"no progress has been reported for {_since(newest, now)}; logs: {look.job.log_path(0)}"]


def ranks_lines(records: Sequence[ProgressRecord], room: Room, now: float) -> list[Text]:
    """A table with a line for each rank: what it has done, how fast, and when it last said so; none for one rank."""
    if len({record.rank for record in records}) < 2:
        return []
    names = list(dict.fromkeys(name for record in records for name in record.figures))
    shown = list(records)
    if room.height is not None and len(records) > _MOST_RANKS:
        slow = sorted(records, key=lambda record: record.rate)[: _MOST_RANKS // 2]
        silent = sorted((r for r in records if r not in slow), key=lambda r: r.updated)[: _MOST_RANKS // 2]
        shown = sorted([*slow, *silent], key=lambda record: (record.kind, record.rank))
    rows = [["rank", "work", "done", "a second", *names, "seen"]]
    for r in shown:
        cells = ["" if (value := r.figures.get(name)) is None else f"{value:.4g}" for name in names]
        rows.append(
            [str(r.rank), r.kind, f"{r.done:,} {r.unit}", number(r.rate), *cells, f"{_since(r.updated, now)} ago"]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        Text("  " + "  ".join(cell.rjust(width) for cell, width in zip(map(printable, row), widths, strict=True)))
        for row in rows
    ]
    lines[0].stylize("dim")
    if len(shown) < len(records):
        lines.append(Text(f"  the slowest and the most silent of {len(records)} ranks", "dim"))
    return [cropped(line, room) for line in lines]


def charts(curves: Sequence[Curve], room: Room) -> list[Text]:
    """The charts beside each other; on no terminal the ends of each curve in words."""
    groups = _by_chart([curve for curve in curves if len(curve.x) > 1])
    if not groups:
        return []
    if room.width is None:
        return [line for group in groups for curve in group for line in wrapped(in_words(curve), room, indent=2)]
    height = 7 if room.height is None or room.height < 40 else 12
    width = (room.columns - 2 - 3 * (len(groups) - 1)) // len(groups)
    drawn = [chart(group, width, height, room.plain) for group in groups]
    lines = []
    for parts in zip(*drawn, strict=True):
        line = Text("  ", no_wrap=True)
        for position, part in enumerate(parts):
            part.pad_right(max(0, width - part.cell_len))
            line.append_text(Text("   ") + part if position else part)
        lines.append(line)
    return lines


def _sparklines(curves: Sequence[Curve], room: Room) -> list[Text]:
    line = Text("  ", no_wrap=True)
    for curve in [curve for curve in curves if len(curve.y) > 1]:
        line.append(f"{curve.name} {number(curve.y[-1])} ").append(sparkline(curve.y, 12, room.plain) + "  ", "yellow")
    return [cropped(line, room)] if line.plain.strip() else []


def _by_chart(curves: Sequence[Curve]) -> list[list[Curve]]:
    return [list(group) for _, group in groupby(curves, key=lambda curve: curve.chart)]


def _log(look: Look, room: Room) -> list[Text]:
    end = look.log_end
    if end is None:
        return []
    lines = wrapped(f"last lines of rank {end.rank}, {end.file}:", room, "bold", indent=2)
    return [*lines, *(line for text in end.lines for line in wrapped(text, room, "dim", indent=4))]


def wrapped(text: str, room: Room, style: str = "", indent: int = 0) -> list[Text]:
    """Lines that fit; on no terminal those that the text has, so that programs find them whole."""
    before = " " * indent
    lines = [line for line in printable(text).splitlines() if line.strip()]
    if room.width is not None:
        width = max(20, room.width - indent)
        lines = [part for line in lines for part in textwrap.wrap(line, width, subsequent_indent=_own_indent(line))]
    return [Text(before + line, style, no_wrap=True) for line in lines]


def cropped(line: Text, room: Room) -> Text:
    """The line, cut where the terminal ends."""
    if room.width is not None:
        line.truncate(room.width, overflow="crop" if room.plain else "ellipsis")
    return line


def _own_indent(line: str) -> str:
    return " " * (len(line) - len(line.lstrip()) + 2)


def _since(then: float, now: float) -> str:
    return duration(max(0.0, now - then)) if now - then < 86400 else f"{(now - then) / 86400:.0f} days"
