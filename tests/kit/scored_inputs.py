"""Decoys of docking, and what `prepare` makes of them or says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hpc.errors import InputError
from snw_dist.config import SnwConfig
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import Prepared, load_prepared
from tests.kit.rosetta_inputs import docking
from tests.kit.split_tools import random_sequences

DESCRIPTION = r"(?P<receptor>rec\d+)_(?P<ligand>pep\d+)_\d{4}"
DECOYS = docking(100, 10)  # 1,000 decoys: 10 of each pair of 10 receptors and 10 ligands
FASTA = {
    "ligands": "".join(f">pep{i}\n{s}\n" for i, s in enumerate(random_sequences(10, 9, 0))),
    "receptors": "".join(f">rec{i}\n{s}\n" for i, s in enumerate(random_sequences(10, 60, 1))),
}
RANDOM = {"method": "random"}
Scored = Callable[..., SnwConfig]


def prepared_of(config: SnwConfig) -> Prepared:
    prepare(config)
    return load_prepared(config.data_folder)


def error_of(config: SnwConfig) -> str:
    with pytest.raises(InputError) as caught:
        prepare(config)
    assert not config.run_folder.exists()
    return str(caught.value)


def outcome(config: Any) -> str:
    """What is said where it is refused, else the notes."""
    try:
        summary = prepare(config)
    except InputError as error:
        return str(error)
    return f"read {summary.counts['pairs'].kept} " + " ".join(summary.notes)
