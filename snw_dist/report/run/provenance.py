"""What made the result: commands, versions, digests, and what things cost."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from snw_dist.evaluate.training_cost import training_seconds
from snw_dist.report.page import Block, Cell, Column, Commands, Says, Section, Table
from snw_dist.report.run.files import RunFiles
from snw_dist.trained_run.watched import METRICS


def provenance_section(run: RunFiles) -> Section:
    """The section about where the figures come from."""
    return Section("provenance", "Where it comes from", list(_blocks(run)))


def _blocks(run: RunFiles) -> Iterator[Block]:
    yield Says(
        "These commands make a run like this one again, from the settings that it has kept. With the same versions, "
        "weights and number of ranks it gives the same figures."
    )
    yield Commands(commands(run))
    yield Table(
        "provenance_facts",
        "What made it",
        "A **digest** (SHA-256) is a number computed from all bytes of a file, which differs if one bit differs. "
        "By it one can check that a file is the one that was used.",
        [Column("what"), Column("value", mono=True)],
        list(_facts(run)),
    )
    yield Table(
        "provenance_settings",
        "All settings",
        "As config.json in the run folder has them.",
        [Column("setting"), Column("value", mono=True)],
        [[key, value] for key, value in _flat(run.config)],
    )


def commands(run: RunFiles) -> list[str]:
    """What would make the run again, under another name."""
    name, config = run.metrics["provenance"]["run"], shlex.quote(str(run.folder / "config.json"))
    again = f"--config {config} --run {shlex.quote(f'{name}-again')}"
    given = run.prepared.summary["given"]
    told = "".join(f" --set {shlex.quote(f'{key}={value}')}" for key, value in given.items())
    return [
        f"snw-dist {command} {again}{told if command == 'prepare' else ''}"
        for command in ("prepare", "embed", "train", "evaluate")
    ]


def _facts(run: RunFiles) -> Iterator[Sequence[Cell]]:
    provenance = run.metrics["provenance"]
    device, name = provenance.get("device"), provenance.get("device_name")
    yield ["device", f"{device} {name}"]
    yield ["ranks in training", str(provenance.get("num_ranks"))]
    seconds = training_seconds(run.folder / METRICS)
    if seconds is not None:
        yield ["time of all steps and validations", f"{seconds:,.0f} s"]
    yield ["encoder", str(provenance["encoder"])]
    encoder = run.provenance.get("encoder")
    if isinstance(encoder, dict) and isinstance(encoder.get("weights_sha256"), str):
        yield ["digest of the encoder's weights", encoder["weights_sha256"]]
    names = {"weights_sha256": "network", "store_rows_sha256": "embeddings", "data_digest": "training pairs"}
    yield from ([f"digest of the {what}", str(provenance[key])] for key, what in names.items() if key in provenance)
    yield from ([f"digest of the input {what}", str(value)] for what, value in _object(provenance, "inputs").items())
    yield from ([f"digest of {what}", str(value)] for what, value in _object(provenance, "data_files").items())
    yield from ([f"version of {what}", str(value)] for what, value in _object(provenance, "versions").items())


def _object(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", "" if value is None else str(value)
