"""The section `data` of the configuration: the input tables, labels from scores, and splits."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from hpc.disk.strict import SETTINGS


@dataclass(config=SETTINGS, frozen=True)
class ColumnNames:
    """Names of the columns in the pair table."""

    ligand: str | None = "ligand_id"
    """Column with the id of the ligand; null, or absent under this name: made from its sequence in the table."""
    receptor: str | None = "receptor_id"
    """Column with the id of the receptor; likewise."""
    ligand_sequence: str | None = None
    """Column with the sequence of the ligand itself; then `data.ligands` is not read."""
    receptor_sequence: str | None = None
    """Column with the sequence of the receptor itself; then `data.receptors` is not read."""
    label: str = "label"
    """Numbers in [0, 1], or a binary column of 0 / 1 / true / false / bound / unbound; not read with `scores.term`."""
    binary: str | None = None
    """Bound or not bound, for metrics; when absent it is `label >= data.positive_from`."""
    split: str = "split"
    """train / val / any other names (each is a held-out set); read when `split.method` is `column`."""
    inequality: str | None = None
    """`<`, `=` or `>` before an affinity (`scores.transform` = `log_affinity`)."""
    decoy: str | None = None
    """Name of each decoy where a row is one, so that one given twice is found."""
    score_file: str | None = None
    """A Rosetta score or silent file for each pair, with its decoys; relative to the folder of the table."""

    @model_validator(mode="after")
    def _agrees(self) -> ColumnNames:
        for side in ("ligand", "receptor"):
            if getattr(self, side) is None and getattr(self, f"{side}_sequence") is None:
                raise ValueError(
                    f"data.columns.{side} is null, so nothing names a {side}: give the column with its id, or that "
                    f"with its sequence as data.columns.{side}_sequence"
                )
        return self

    @property
    def may_lack(self) -> set[str]:
        """Columns of ids that the table need not have: the sequence is there, and only the default names the id."""
        default = ColumnNames()
        sides = ("ligand", "receptor")
        return {
            one for one in sides if getattr(self, f"{one}_sequence") and getattr(self, one) == getattr(default, one)
        }


@dataclass(config=SETTINGS, frozen=True)
class ScoreSection:
    """Labels from raw scores, of which lower is better: Rosetta decoys or affinities."""

    term: str | None = None
    """Rosetta term (`I_sc`, `reweighted_sc`, `dG_separated`, `total_score`, ...) or column; null: labels are given."""
    description: str | None = None
    """For a Rosetta file as `data.pairs`: regular expression for the whole tag, with groups `ligand` and `receptor`."""
    aggregate: Literal["min", "mean_top", "boltzmann"] = "min"
    """From the decoys of a pair to its score: the lowest, the mean of the `top_k` lowest, the Boltzmann mean."""
    top_k: int = Field(default=5, ge=1, le=1_000_000)
    """Lowest decoys that `mean_top` averages, and whose spread is the noise of `min` and `mean_top`."""
    kt: float = Field(default=1.0, gt=0, le=1e6)
    """Temperature of `boltzmann`, in units of the score."""
    transform: Literal["minmax", "logistic", "rank", "log_affinity"] = "minmax"
    """From score to label in [0, 1], invertible and saved; fitted on `train` alone."""
    unit: Literal["nM", "uM", "M", "pK"] = "nM"
    """Of `log_affinity`; `pK` is -log10 of M, such as pKd or pIC50, of which higher is better. All are read as nM."""
    per_receptor: bool = False
    """Fit one for each receptor; receptors with few train pairs use the one of all."""
    clip: float = Field(default=0.01, ge=0, lt=0.5)
    """`minmax`: share of the train scores beyond either end, which get label 1 or 0."""

    @model_validator(mode="after")
    def _agrees(self) -> ScoreSection:
        if self.description is not None:
            try:
                groups = re.compile(self.description).groupindex
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"description is not a regular expression: {error}") from None
            if set(groups) != {"ligand", "receptor"}:
                raise ValueError("description must have the named groups (?P<ligand>...) and (?P<receptor>...)")
        if self.unit != "nM" and (self.term is None or self.transform != "log_affinity"):
            raise ValueError("data.scores.unit needs data.scores.term and data.scores.transform = log_affinity")
        if self.transform == "log_affinity" and self.per_receptor:
            raise ValueError(
                "data.scores.per_receptor has no meaning for log_affinity, which has nothing to fit: set it to false"
            )
        return self


@dataclass(config=SETTINGS, frozen=True)
class SplitSection:
    """Which pairs are trained on, and which are held out."""

    method: Literal["column", "random", "ligand_cold", "receptor_cold", "both_cold"] = "column"
    """`column` is given; `random`: pairs; `*_cold`: clusters of that side, or of both, are in one split only."""
    clusters: Literal["mmseqs2", "identical"] = "mmseqs2"
    """What is held together: similar sequences (MMseqs2 must be installed), or identical ones only."""
    ligand_identity: float = Field(default=0.8, gt=0, le=1)
    """Ligands with this share of identical residues in an alignment belong together; not used with `data.symmetric`."""
    ligand_coverage: float = Field(default=0.8, gt=0, le=1)
    """The alignment covers this share of both sequences."""
    receptor_identity: float = Field(default=0.3, gt=0, le=1)
    """The same for receptors, and with `data.symmetric` for all proteins; likewise `receptor_coverage`."""
    receptor_coverage: float = Field(default=0.5, gt=0, le=1)
    """The alignment covers this share of both sequences."""
    val_fraction: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of pairs in `val`."""
    test_fraction: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of pairs in `test`."""
    calibration_fraction: float = Field(default=0, ge=0, lt=0.5)
    """Pairs that decide nothing of the network: by them a screen knows how many of its hits are false."""
    folds: int | None = Field(default=None, ge=3, le=1_000)
    """Cross-validation: `test` is fold number `fold`, `val` the next one; the fractions are not used."""
    fold: int = Field(default=0, ge=0, lt=1_000)
    """Which of the folds."""
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Seed of the split and of made negatives alone; when absent `run.seed`."""

    @model_validator(mode="after")
    def _agrees(self) -> SplitSection:
        if self.folds is not None and self.method == "column":
            raise ValueError(
                "data.split.folds are made, so data.split.method cannot be column: take ligand_cold, for instance"
            )
        if self.calibration_fraction and (self.method == "column" or self.folds is not None):
            raise ValueError(
                "data.split.calibration_fraction is a share of splits that are made without folds: give those pairs a "
                "split of their own in the column, such as calibration, or leave out data.split.folds"
            )
        if self.val_fraction + self.test_fraction + self.calibration_fraction >= 1:
            raise ValueError("the three fractions leave no pairs for train")
        if self.fold >= (self.folds or 1):
            raise ValueError(
                f"data.split.fold {self.fold} is not one of 0 to {self.folds - 1}"
                if self.folds
                else f"data.split.fold {self.fold} needs data.split.folds, of how many it is one"
            )
        return self


@dataclass(config=SETTINGS, frozen=True)
class DataSection:
    """The input tables and how they are cleaned."""

    ligands: str = "ligands.fasta"
    """FASTA, plain or packed; not read with `data.columns.ligand_sequence`."""
    receptors: str = "receptors.fasta"
    """FASTA, plain or packed; not read with `data.columns.receptor_sequence`."""
    pairs: str = "pairs.csv"
    """By its ending: CSV, TSV, Parquet, or a Rosetta score file (`.sc`, `.fasc`) or silent file (`.silent`, `.out`)."""
    symmetric: bool = False
    """The sides mean nothing (protein-protein): (A, B) is (B, A), and both FASTA files, often the same, are one set."""
    columns: ColumnNames = Field(default_factory=ColumnNames)
    scores: ScoreSection = Field(default_factory=ScoreSection)
    split: SplitSection = Field(default_factory=SplitSection)
    negatives: Literal["given", "derangement"] = "given"
    """`derangement`: the table has positives; in each split their ligands are dealt again to other families."""
    folder: str | None = None
    """The cleaned tables; when absent `data` in the run folder. Runs may share them."""
    positive_from: float = Field(default=0.5, ge=-1e9, le=1e9)
    """Labels from here on are positive, where no binary column is named."""
    on_invalid: Literal["error", "skip"] = "error"
    """`error` stops at the first bad records; `skip` writes them to the reject table and goes on."""
    non_standard: Literal["reject", "unknown"] = "reject"
    """B, J, O, U, X, Z: `reject` the sequence, or replace each of them by X."""
    min_length: int = Field(default=1, ge=1, le=1_000_000)
    """Shorter sequences are rejected."""
    max_length: int = Field(default=100_000, ge=1, le=10_000_000)
    """Longer sequences are rejected, never cropped."""
    license: str | None = Field(default=None, max_length=1_000)
    """Under what the data may be used; nothing is made of it but a line in what is handed on."""

    @model_validator(mode="after")
    def _agrees(self) -> DataSection:
        if self.negatives == "derangement" and self.scores.term:
            raise ValueError(
                "negatives that are made have no score: set data.scores.term to null or data.negatives to given"
            )
        if self.columns.inequality and not (self.scores.term and self.scores.transform == "log_affinity"):
            raise ValueError("data.columns.inequality needs data.scores.term and data.scores.transform = log_affinity")
        if not self.scores.term and (self.scores.description or self.columns.score_file or self.columns.decoy):
            raise ValueError("decoys need data.scores.term, the name of the score")
        in_table = self.columns.ligand_sequence, self.columns.receptor_sequence
        if self.scores.description and any(in_table):
            raise ValueError(
                "data.columns.ligand_sequence and data.columns.receptor_sequence have no meaning for a Rosetta score "
                "file, which data.scores.description is for: set them to null and give FASTA files"
            )
        if self.symmetric and any(in_table) and not all(in_table):
            raise ValueError(
                "with data.symmetric both sides are one set of sequences: set data.columns.ligand_sequence and "
                "data.columns.receptor_sequence both, or neither"
            )
        if self.symmetric and self.split.method in ("ligand_cold", "receptor_cold"):
            raise ValueError(
                f"data.split.method {self.split.method} has no meaning where data.symmetric is true, because a protein "
                "may stand on either side: take both_cold, which keeps each protein in one split"
            )
        if self.symmetric and self.scores.per_receptor:
            raise ValueError("data.scores.per_receptor has no meaning where data.symmetric is true: set it to false")
        return self

    @property
    def fasta(self) -> tuple[str | None, str | None]:
        """The FASTA files of ligands and receptors; None where the pair table has the sequences."""
        ligand, receptor = self.columns.ligand_sequence, self.columns.receptor_sequence
        return None if ligand else self.ligands, None if receptor else self.receptors
