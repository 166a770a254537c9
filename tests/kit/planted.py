"""A set of pairs without defects, defects to be planted in it, and what the audit must find of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from snw_dist.config import SnwConfig
from tests.kit.data_inputs import Inputs
from tests.kit.split_tools import LETTERS, random_sequences

SIZES = {"train": 60, "val": 30, "test": 30}
BY_IDENTITY = {"clusters": "identical"}


@dataclass
class Set:
    """A set of pairs as text; each plant spoils it in one way."""

    ligands: dict[str, str] = field(default_factory=dict)
    receptors: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, str, float, str]] = field(default_factory=list)

    def add(self, ligand: str, receptor: str, label: float, split: str = "train") -> None:
        self.rows.append((ligand, receptor, label, split))

    def config(self, inputs: Inputs, **split: str) -> SnwConfig:
        """With clusters of identical sequences, which is quicker, unless `split` says otherwise."""
        fasta = [
            "".join(f">{name}\n{text}\n" for name, text in side.items()) for side in (self.ligands, self.receptors)
        ]
        lines = [f"{ligand},{receptor},{label},{split}\n" for ligand, receptor, label, split in self.rows]
        return inputs(*fasta, "ligand_id,receptor_id,label,split\n" + "".join(lines), split=BY_IDENTITY | split)


def clean() -> Set:
    """Every ligand is in 4 positive and 4 negative pairs, every receptor likewise; the splits share nothing."""
    made = Set()
    ligands, receptors = random_sequences(120, 12, 0), random_sequences(120, 90, 2)
    for number, (split, size) in enumerate(SIZES.items()):
        for i in range(size):
            at = sum(list(SIZES.values())[:number]) + i
            made.ligands[f"{split}_l{i}"], made.receptors[f"{split}_r{i}"] = ligands[at], receptors[at]
        for i in range(size):
            for k in range(8):
                made.add(f"{split}_l{i}", f"{split}_r{(i + k) % size}", k % 2, split)
    return made


def duplicates(made: Set) -> None:
    made.rows += made.rows[10:13]


def contradictions(made: Set) -> None:
    ligand, receptor, label, split = made.rows[20]
    made.add(ligand, receptor, 1 - label, split)


def swapped(made: Set) -> None:
    """A positive pair the other way round, by ids of its own."""
    made.ligands["as_ligand"], made.receptors["as_receptor"] = made.receptors["train_r1"], made.ligands["train_l0"]
    made.add("as_ligand", "as_receptor", 1)


def with_itself(made: Set) -> None:
    made.ligands["itself"] = made.receptors["train_r5"]
    made.add("itself", "train_r5", 1)


def only_negative_ligands(made: Set) -> None:
    for i, sequence in enumerate(random_sequences(3, 12, 2)):
        made.ligands[f"never{i}"] = sequence
        made.add(f"never{i}", f"train_r{i}", 0)


def only_negative_receptor(made: Set) -> None:
    made.receptors["never_bound"] = random_sequences(1, 90, 3)[0]
    made.add("train_l7", "never_bound", 0)
    made.add("train_l8", "never_bound", 0)


def degree_bias(made: Set) -> None:
    """Ligands of even number bind 7 of 8 receptors, the others 1 of 8; receptors stay balanced."""
    for at, (ligand, receptor, _, split) in enumerate(made.rows):
        if at < 60 * 8:
            number = int(ligand.removeprefix("train_l"))
            made.rows[at] = (ligand, receptor, float((at % 8 == 3) != (number % 2 == 0)), split)


def identical(made: Set) -> None:
    made.receptors["again"] = made.receptors["train_r9"]
    made.add("train_l40", "again", 1)


def leak_of_a_ligand(made: Set) -> None:
    made.add("train_l11", "test_r3", 1, "test")


def leak_of_relatives(made: Set) -> None:
    """A ligand of val with one residue of a train ligand changed, a receptor of test with a quarter changed."""
    rng = np.random.default_rng(4)
    near = list(made.ligands["train_l3"])
    near[5] = next(letter for letter in LETTERS if letter != near[5])
    made.ligands["near"] = "".join(near)
    made.add("near", "val_r1", 1, "val")
    relative = [rng.choice(list(LETTERS)) if rng.random() < 0.25 else letter for letter in made.receptors["train_r2"]]
    made.receptors["relative"] = "".join(relative)
    made.add("test_l1", "relative", 1, "test")


def longer_in_test(made: Set) -> None:
    for name in made.receptors:
        if name.startswith("test_r"):
            made.receptors[name] += random_sequences(1, 40, int(name[6:]) + 100)[0]


def other_composition_in_val(made: Set) -> None:
    for name, sequence in made.ligands.items():
        if name.startswith("val_l"):
            made.ligands[name] = sequence.translate(str.maketrans("ACDE", "WWYY"))


PLANTS: dict[Callable[[Set], None], set[tuple[str, str, int]]] = {
    degree_bias: {("degree_bias", "ligands", 60)},
    duplicates: {("duplicate_pairs", "pairs", 3)},
    contradictions: {("contradictory_labels", "pairs", 2)},
    swapped: {("swapped_pairs", "pairs", 2)},
    with_itself: {("self_pairs", "pairs", 1)},
    only_negative_ligands: {("only_negative", "ligands", 3)},
    only_negative_receptor: {("only_negative", "receptors", 1)},
    identical: {("identical_sequences", "receptors", 2)},
    leak_of_a_ligand: {("sequence_overlap", "ligands of test in train", 1)},
    leak_of_relatives: {
        ("cluster_overlap", "ligands of val in train", 1),
        ("cluster_overlap", "receptors of test in train", 1),
    },
    longer_in_test: {("length_shift", "receptors of test against train", 240)},
    other_composition_in_val: {("composition_shift", "ligands of val against train", 240)},
}
