"""Which sequences belong together: found similar by MMseqs2, or identical."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc.errors import EnvironmentProblem
from hpc.machine.child import Workroom, workroom
from hpc.machine.processors import usable_processors
from hpc.told import long_work
from snw_dist.data.records.repeats import numbered

PROGRAM = "mmseqs"
_PREFIX = "snw-mmseqs-"
_SEARCHABLE = re.compile("[^X]{5}")  # MMseqs2 looks for words of 5 residues; what has none is alone in its cluster
_SHORT = 50
# Two similar sequences are in one cluster, whatever else is in it (connected components of all hits): a greedy cluster
# is similar to its representative only, and two members of different clusters may be nearly equal.
_SEARCH = "--cluster-mode 1 --single-step-clustering 1 --add-self-matches 1 --max-seqs 10000 -k 5 -s 6"
# Peptides have no E-value worth the name and hardly a k-mer to find them by: with the defaults 7 % of the pairs of
# 9-mers that differ by one residue were found, with these 99.6 %.
_SEARCH_SHORT = "-e inf --comp-bias-corr 0 --mask 0 --spaced-kmer-mode 0 --min-ungapped-score 0"


class Units(NamedTuple):
    """What is held together: the unit of each pair, and a name of each unit that no order of records changes."""

    unit: NDArray[np.int64]
    """[num_pairs]"""
    names: Sequence[str]


@dataclass(frozen=True)
class Distinct:
    """The distinct sequences of one FASTA file, and which of them belong together."""

    code: NDArray[np.int64]
    """[num_ids]: position in `sequences` of the sequence of each id."""
    sequences: list[str]
    method: str
    """`mmseqs2`, or `identical`: every sequence is a cluster."""
    identity: float
    coverage: float

    @cached_property
    def cluster(self) -> NDArray[np.int64]:
        """The cluster `[sequence]`, found at the first use."""
        if self.method == "identical":
            return np.arange(len(self.sequences))
        return similar(self.sequences, self.identity, self.coverage)

    def units(self, index: NDArray[np.int64]) -> Units:
        """Sequences as units, for pairs whose ids are at `index` [num_pairs]."""
        return Units(self.code[index], self.sequences)

    def cluster_units(self, index: NDArray[np.int64]) -> Units:
        """Clusters as units, for the same; named by their first sequence in the order of the alphabet.

        `index`: [num_pairs], as of `units`.
        """
        names = [""] * (int(self.cluster.max(initial=-1)) + 1)
        for sequence, cluster in zip(self.sequences, self.cluster.tolist(), strict=True):
            names[cluster] = min(names[cluster] or sequence, sequence)
        return Units(self.cluster[self.code[index]], names)

    def note(self) -> str:
        """How many clusters there are."""
        size = np.bincount(self.cluster)
        by = f"MMseqs2 {find_mmseqs()}" if self.method == "mmseqs2" else "identity"
        return f"{len(self.sequences):,} distinct, clusters {len(size):,}, the largest of {size.max():,} (by {by})"


def distinct_sequences(sequences: Mapping[str, str], method: str, identity: float, coverage: float) -> Distinct:
    """From id and sequence to the distinct sequences, in the order of first appearance."""
    code_of: dict[str, int] = {}
    codes = [code_of.setdefault(sequence, len(code_of)) for sequence in sequences.values()]
    return Distinct(np.array(codes, np.int64), list(code_of), method, identity, coverage)


def find_mmseqs() -> str:
    """Version of the installed MMseqs2; raises `EnvironmentProblem` telling how to get it."""
    if shutil.which(PROGRAM) is None:
        raise EnvironmentProblem(
            f"{PROGRAM}: no such program. Install MMseqs2 (Debian: apt-get install mmseqs2; conda: conda install -c "
            'bioconda mmseqs2; clusters: module load mmseqs2), or set data.split.clusters = "identical".'
        )
    with workroom(_PREFIX) as room:
        return _run(room, [PROGRAM, "version"]).strip()


def similar(sequences: Sequence[str], identity: float, coverage: float) -> NDArray[np.int64]:
    """The cluster `[sequence]` of distinct sequences, numbered from 0 in their order.

    Sequences are linked when MMseqs2 aligns them with at least `identity` identical residues over at least `coverage`
    of both, and a cluster is all that is linked (Steinegger and Soeding, Nat. Biotechnol. 2017, 35:1026). The order of
    the sequences does not matter. Raises `EnvironmentProblem` when the program is missing or fails.
    """
    find_mmseqs()
    representative = np.arange(len(sequences))
    order = [i for i, sequence in enumerate(sequences) if _SEARCHABLE.search(sequence)]
    if len(order) < 2:
        return representative
    order.sort(key=lambda i: (-len(sequences[i]), sequences[i]))
    short = _SEARCH_SHORT if np.median([len(s) for s in sequences]) < _SHORT else ""
    with workroom(_PREFIX) as room:
        fasta, result = room.folder / "in.fasta", room.folder / "out"
        fasta.write_text("".join(f">{i}\n{sequences[i]}\n" for i in order), encoding="ascii")
        threads = ["--threads", str(usable_processors())]
        limits = ["--min-seq-id", repr(identity), "-c", repr(coverage)]
        names = [str(fasta), str(result), str(room.folder / "tmp")]
        command = [PROGRAM, "easy-cluster", *names, *threads, *limits, *_SEARCH.split(), *short.split(), "-v", "1"]
        with long_work(f"MMseqs2 clusters {len(order):,} sequences"):
            _run(room, command)
        pairs = np.loadtxt(f"{result}_cluster.tsv", np.int64, ndmin=2)
    representative[pairs[:, 1]] = pairs[:, 0]
    return numbered(representative)


def _run(room: Workroom, command: list[str]) -> str:
    """What the program prints; its last lines are in the error."""
    status, output = room.run(command)
    if status:
        tail = " ".join(output.split()[-40:])
        raise EnvironmentProblem(
            f"{' '.join(command[:2])}: failed with exit status {status}: {tail}. "
            'Correct that, or set data.split.clusters = "identical".'
        )
    return output
