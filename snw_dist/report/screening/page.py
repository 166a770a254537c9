"""The report of a screen as a page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from hpc.amounts import count_of
from hpc.errors import SnwError
from hpc.told import long_work
from snw_dist.config import SnwConfig
from snw_dist.data.prepared import load_prepared
from snw_dist.evaluate.measure.held_out import pairs_of
from snw_dist.report.page import Block, Cell, Column, Commands, Fact, Facts, Page, Says, Section, Table
from snw_dist.report.screening.figures import (
    abstained_figure,
    distance_figure,
    frequent_figure,
    heat_figure,
    list_name,
    rate_figure,
)
from snw_dist.report.screening.heat import heat_of
from snw_dist.report.screening.known import Realised, realised
from snw_dist.report.screening.read import read_result
from snw_dist.report.screening.summed import Summed, summed
from snw_dist.report.write import write_report
from snw_dist.screen.controls import lines_of
from snw_dist.screen.library import other
from snw_dist.screen.plan_file import read_plan
from snw_dist.screen.recall import said_of as recall_lines
from snw_dist.screen.result import REPORT

Content = dict[str, Any]


def report_screen(folder: Path, labels: SnwConfig | None = None, to: Path | None = None) -> Path:
    """Write the report of a screen, as `report.html` in its folder or as `to`; returns its path.

    labels: a run whose pairs say which hits bind. Raises as `screen_page`, and `InputError` where the run has no data.
    """
    known = None if labels is None else pairs_of(load_prepared(labels.data_folder))
    with long_work("drawing the report"):
        return write_report(screen_page(folder, known), to or folder / REPORT)


def screen_page(folder: Path, known: pd.DataFrame | None = None) -> Page:
    """The page of the screen in a folder.

    known: pairs whose labels are known: ligand and receptor (sequences), positive, split. Raises `InputError` where
    there is no finished screen, and `CorruptError` where its files are damaged.
    """
    content = read_result(folder)
    found = summed(folder, content["screen"]["by"])
    answer, tone = _answer(content, found)
    about = [
        ("screen", folder.resolve().name),
        ("bundle", content["bundle"]["name"]),
        *([("second stage", content["rerank"]["name"])] if content["rerank"] else []),
        ("asked for", _asked(content)),
    ]
    sections = [
        Section("hits", "Hits", list(_hits(folder, content, found))),
        Section("trust", "How far to trust them", list(_trust(content, found))),
        *([Section("false", "False hits", false)] if (false := list(_false(folder, content, known))) else []),
        Section("records", "What became of every record", [_records(content)]),
        Section("provenance", "Where this comes from", list(_provenance(folder, content))),
    ]
    return Page(f"Screen {folder.resolve().name}", answer, tone, about, list(_warnings(content, found)), sections)


def _answer(content: Content, found: Summed) -> tuple[str, Literal["plain", "warning"]]:
    if not found.rows:
        return f"No hits among {content['pairs']:,} pairs.", "warning"
    said = content["false_hits"]
    promise = f"; on average at most {said['rate']:.0%} of them are false" if said else ""
    doubted = f"; {found.num_abstained:,} of them should not be trusted as they are" if found.num_abstained else ""
    text = f"{found.rows:,} hits among {content['pairs']:,} pairs{promise}{doubted}."
    return text, "warning" if found.num_abstained * 2 > found.rows else "plain"


def _asked(content: Content) -> str:
    asked = content["screen"]
    given = {"top": f"the best {{}} {other(asked['by'])}s of each {asked['by']}", "threshold": "scores from {} on"}
    parts = [text.format(f"{asked[key]:,}") for key, text in given.items() if asked[key] is not None]
    rate = asked["false_rate"]
    return "; ".join([*parts, *([] if rate is None else [f"at most {rate:.0%} false hits"])]) or "all pairs"


def _warnings(content: Content, found: Summed) -> Iterator[str]:
    rejected = {side: counts["rejected"] for side, counts in content["records"].items() if counts["rejected"]}
    for side, count in rejected.items():
        yield f"{count:,} {side} records were left out, because they cannot be used: see rejects.csv of the screen."
    if found.rows and not content["false_hits"]:
        yield "Nobody knows how many hits are false: that takes a bundle with calibration pairs, and --false-rate."


def _hits(folder: Path, content: Content, found: Summed) -> Iterator[Block]:
    records = content["records"]
    yield Facts([
        Fact("pairs scored", f"{content['pairs']:,}"),
        Fact("hits", f"{found.rows:,}", "rows: one for each pair of ids"),
        Fact("receptors with hits", f"{len(found.receptors):,}", f"of {records['receptor']['used']:,}"),
        Fact("hits to trust", f"{found.rows - found.num_abstained:,}", "nothing speaks against them"),
    ])  # fmt: skip
    heat = heat_of(folder, found)
    if heat is None:
        yield Says("No pair was good enough to be a hit.", "warning")
        return
    yield heat_figure(heat, found)
    yield _receptors(found)
    side, most = other(found.by), found.frequent["lists"]
    if most.max() < 2:
        yield Says(f"No {side} is among the hits of several {found.by}s.")
        return
    if most.nunique() > 1:
        yield frequent_figure(found)
    else:
        yield Says(f"Each of the {len(most)} {side}s below is among the hits of {most.max():,} {found.by}s.")
    columns = [Column(side), Column(f"{found.by}s"), Column("specificity", 3), Column("identity to training", 3)]
    says = (
        f"The {side}s that are in most lists. Specificity: the share of the other receptors of the screen with which a "
        "ligand scores no higher, the lowest of its rows. A low one means that it is no special match."
    )
    yield Table("promiscuous", f"The {side}s in most lists", says, columns, _rows(found.frequent))


def _receptors(found: Summed) -> Table:
    names = ["receptor", "hits", "best", "last", "best_ligand", "trusted", "identity"]
    table = found.receptors[names]
    columns = [
        *(Column("receptor"), Column("hits"), Column("best score", 3), Column("last score", 3), Column("best ligand")),
        *(Column("hits to trust"), Column("identity to training", 3)),
    ]
    says = "The receptor with the best hit is the first."
    return Table("receptors", "Every receptor with hits", says, columns, _rows(table))


def _rows(table: pd.DataFrame) -> list[list[Cell]]:
    return [list(row) for row in table.astype(object).itertuples(index=False, name=None)]


def _trust(content: Content, found: Summed) -> Iterator[Block]:
    for line in lines_of(content["controls"]):
        yield Says(f"The evaluation of the bundle: {line}{'' if line.endswith('.') else '.'}")
    for line in recall_lines(content["recall"]) if content["recall"] else ():
        yield Says(f"The first stage: {line}.")
    if found.rows:
        yield distance_figure(found)
    yield abstained_figure(found) or Says("Nothing speaks against any of the hits.", "good")


def _false(folder: Path, content: Content, known: pd.DataFrame | None) -> Iterator[Block]:
    """What is promised of false hits, and what known labels say of them; nothing where there is neither."""
    said = content["false_hits"]
    by_labels = [] if known is None else realised(folder, known)
    if said is None:
        if known is not None:
            yield from _labels(None, True, by_labels)
        return
    yield rate_figure(said, by_labels)
    yield from _labels(said, known is not None, by_labels)
    yield from _promises(said)


def _promises(said: Content) -> Iterator[Block]:
    """What is promised of each list, and of which receptors nothing is."""
    rows: list[list[Cell]] = [
        [list_name(one), len(one["receptors"]), one["tested"], one["negatives"], one["cutoff"], one["hits"],
         one["estimate"] if one["hits"] else None, None if one["hits"] else one["fewest_hits"], one["cut_by_top"]]
        for one in said["lists"]
    ]  # fmt: skip
    columns = [Column("list"), Column("receptors"), Column("pairs"), Column("known negatives"), Column("cutoff", 4)]
    columns += [Column("hits"), Column("estimate", 3), Column("hits needed"), Column("lists cut at the top")]
    says = (
        f"Receptors that share a list share a promise: on average at most {said['rate']:g} of its hits are false, by "
        "its known negatives. A list without hits is too weak for it: as many pairs as are needed would have to score "
        "above its negatives."
    )
    yield Table("promises", "Lists with a promise", says, columns, rows)
    cut = sum(one["cut_by_top"] for one in said["lists"])
    if cut:
        more = f"a larger {said['ends_by']} would keep more"
        yield Says(f"{count_of(cut, 'list')} may be too short, the cutoff is not in there: {more}.", "warning")
    refused: list[list[Cell]] = []
    for why in dict.fromkeys(one["why"] for one in said["refused"]):
        names = [name for one in said["refused"] if one["why"] == why for name in one["receptors"]]
        refused.append([why, len(names), ", ".join(names)])
    if refused:
        says = "These receptors have no hits, whatever the scores."
        columns = [Column("why"), Column("receptors"), Column("which", longest=400)]
        yield Table("nothing_promised", "Nothing is promised", says, columns, refused)


def _labels(said: Content | None, known: bool, found: Sequence[Realised]) -> Iterator[Block]:
    """What the known labels say, beside a promise or without one."""
    if not known:
        yield Says("No labels are given here. Those of a run join the report by: snw-dist report --run NAME")
    elif not found:
        yield Says("None of the hits has a known label.")
    deciding = {"train": "made the network", "val": "chose the network"}
    deciding |= {} if said is None else {said["split"]: "made the cutoffs"}
    rows: list[list[Cell]] = [
        [one.split, one.known, one.false, one.false / one.known, one.low, one.high,
         "no: its pairs " + deciding[one.split] if one.split in deciding else "yes"]
        for one in found
    ]  # fmt: skip
    if rows:
        columns = [Column("split"), Column("known hits"), Column("false"), Column("share", 3), Column("from", 3)]
        columns += [Column("to", 3), Column(f"independent of the {'network' if said is None else 'promise'}")]
        says = (
            "Hits whose label is known, by the split of the pair, and the share of them that does not bind, with its "
            "95 % interval. Only independent ones say something of the other hits."
        )
        yield Table("found_by_labels", "False hits among those that are known", says, columns, rows)


def _records(content: Content) -> Table:
    keys = ("records", "used", "merged", "rejected", "distinct_sequences")
    rows: list[list[Cell]] = [[side, *(counts[key] for key in keys)] for side, counts in content["records"].items()]
    says = "records = used + merged (same id, same sequence) + rejected. Each distinct sequence is scored once."
    columns = [Column("file"), *(Column(key.replace("_", " ")) for key in keys)]
    return Table("records_of_files", "Records of both files", says, columns, rows)


def _provenance(folder: Path, content: Content) -> Iterator[Block]:
    asked, versions = content["screen"], content["versions"]
    rows: list[list[Cell]] = [
        ["bundle", content["bundle"]["sha256"]],
        *([["second stage", content["rerank"]["sha256"]]] if content["rerank"] else []),
        *([f"{side}s", digest] for side, digest in asked["libraries"].items()),
    ]
    yield Table("digests", "Digests", "SHA-256", [Column("of"), Column("digest", mono=True)], rows)
    made_by = f"snw-dist {versions['snw_dist']}, torch {versions['torch']}, {content['device']}"
    yield Says(f"Made by {made_by}. Of {content['ties']}.")
    if asked["background"]:
        yield Says(f"Percentiles compare with {asked['background']['what']}.")
    try:
        plan = read_plan(folder)
    except SnwError:
        plan = None
    if plan is not None:
        options: dict[str, Any] = {"--bundle": plan.bundle, "--ligands": plan.files["ligand"]}
        options |= {"--receptors": plan.files["receptor"], "--to": "again", "--by": asked["by"], "--top": asked["top"]}
        options |= {"--threshold": asked["threshold"], "--false-rate": asked["false_rate"], "--rerank": plan.rerank}
        options |= {"--rerank-top": asked["most"] if plan.rerank else None, "--vector-dtype": asked["dtype"]}
        given = [f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
        yield Commands([f"snw-dist screen {' '.join(given)}"])
