"""`PairScorer`: scores of any pairs of sequences, by a bundle alone.

```python
from snw_dist import PairScorer

scorer = PairScorer.load("bundle")
print(scorer.score(["SIINFEKL"], ["GSHSMRYFFTSVSRPGRGEPRFIAVGYVDDTQFVRFDSDAASQ"]).probability)
```
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch

from hpc.disk.strict import validated
from hpc.errors import CorruptError, InputError
from hpc.ranks.process_group import choose_device
from snw_dist.arrays import FloatArray
from snw_dist.bundle.format import PARITY, BundleFile
from snw_dist.bundle.locate import find_bundle
from snw_dist.bundle.parity import Parity, largest_difference
from snw_dist.bundle.read import Bundle
from snw_dist.embedding.esmc.packed import TRAINED_CONTEXT
from snw_dist.embedding.row_reader import RowReader
from snw_dist.embedding.store.dtypes import torch_dtype
from snw_dist.model.pair import PairOutput
from snw_dist.scoring.arguments import broadcast, check_table, check_whole
from snw_dist.scoring.cache import cache_of
from snw_dist.scoring.columns import Scored, columns_of
from snw_dist.scoring.encoder import bundle_encoder
from snw_dist.scoring.members import LoadedMember, load_members
from snw_dist.scoring.percentile import Wanted, percentiles_of
from snw_dist.scoring.plan import blocks, numbered
from snw_dist.scoring.scores import Scores, together
from snw_dist.scoring.sequences import Kept, Rules, Texts, embedded, listed, tokens
from snw_dist.scoring.trusted import trust_columns

if TYPE_CHECKING:
    from snw_dist.embedding.store.reader import StoreReader

MEMORY_BYTES = 2 * 2**30


class Towers(NamedTuple):
    """Where a network puts sequences: near each other where they bind."""

    ligands: FloatArray
    """[ligands, size] unit vectors."""
    receptors: FloatArray
    """[receptors, size] unit vectors, in the same space."""


@dataclass
class Loading:
    """What loading took and found."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Step -> how long it took: `verify`, `networks`, `encoder`, `parity` (the first scores)."""
    difference: float = 0.0
    """Of the scores of the parity pairs from those of `evaluate`, the largest; 0.0 where all bits are the same."""

    def done(self, step: str, started: float) -> float:
        """Note a step that began at `started`; the time now."""
        now = time.perf_counter()
        self.seconds[step] = now - started
        return now


class PairScorer:
    """Scores pairs of a ligand and a receptor, given as sequences of letters; make one with `load`."""

    def __init__(
        self, bundle: Bundle, members: list[LoadedMember], rows: Kept | None, device: torch.device, memory_bytes: int
    ) -> None:
        """`rows`: makes the rows of sequences; None where all members have the encoder inside."""
        self.bundle, self.members, self.device = bundle, members, device
        self.rules, self.trust = _rules(bundle.says), trust_columns(bundle)
        self.loading = Loading()
        self._store: StoreReader | None = None
        self._without_windows = [one.name for one in members if one.tuned and one.max_length > TRAINED_CONTEXT - 2]
        self._rows, self._tokens = rows, Kept(tokens, memory_bytes // 8)
        width = bundle.says.rows.width * torch_dtype(bundle.says.rows.dtype).itemsize
        self.most_residues = max(1, memory_bytes // 2 // width)
        self.calibrations = {member.name: member.calibration for member in members}

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        device: Literal["auto", "cpu", "cuda"] | torch.device = "auto",
        encoder: str | None = None,
        cache: str | Path | None = None,
        revision: str | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> PairScorer:
        """The scorer of a bundle: a folder, or the id of a repository of the Hugging Face hub (at `revision`).

        `device`: `auto` is CUDA where there is one. `encoder`: where ESM C is, when not where the bundle says: a file,
        a folder or a hub id. `cache`: a finished store of the same encoder; sequences that it holds are not embedded
        again. `memory_bytes`: for the rows of sequences, about; more pairs are scored in several passes.

        Every file is compared with its SHA-256, and ten pairs are scored and compared with what `evaluate` gave them.
        Raises `InputError`, `CorruptError` or `EnvironmentProblem` with one line: see `snw_dist.bundle`.
        """
        check_whole("memory_bytes", memory_bytes, "2 * 2**30")
        loading, now = Loading(), time.perf_counter()
        bundle, on = find_bundle(source, revision), device
        on = on if isinstance(on, torch.device) else choose_device(on, 0)
        now = loading.done("verify", now)
        members = load_members(bundle)
        now = loading.done("networks", now)
        rows = store = None
        if not all(member.tuned for member in members):
            entry = bundle.says.rows
            found, dtype = bundle_encoder(entry, encoder, on, str(source)), torch_dtype(entry.dtype)
            store = None if cache is None else cache_of(Path(cache), entry)
            rows = Kept(embedded(found, dtype, store), memory_bytes // 2)
            now = loading.done("encoder", now)
        scorer = cls(bundle, members, rows, on, memory_bytes)
        scorer.loading, scorer._store = loading, store
        loading.difference = scorer._parity()
        loading.done("parity", now)
        return scorer

    @property
    def threshold(self) -> float | None:
        """Scores from here on are called positive: the largest F1 on validation; None where that has one class."""
        says = self.bundle.says
        return says.mean.threshold if says.mean else next(iter(says.members.values())).threshold

    @property
    def longest(self) -> int | None:
        """Residues of the longest sequence that all members take; None: any.

        A network with the encoder inside takes no windows, see `predict.tuned_encoder.check_lengths`.
        """
        return TRAINED_CONTEXT - 2 if self._without_windows else None

    def stored(self, sequence: str) -> bool:
        """Whether the store that was given as `cache` holds a cleaned sequence, so that it is not embedded again."""
        return self._store is not None and sequence in self._store

    def score(self, ligands: Texts, receptors: Texts) -> Scores:
        """Scores of pairs: of two lists of equal length, or of one sequence with each of the other side.

        Each distinct sequence is embedded once, as long as `memory_bytes` holds its rows. A score depends on nothing
        but the pair. Raises `InputError` naming the place of a letter that is no amino acid.
        """
        left, right = broadcast(ligands, receptors)
        return self.score_clean(self.rules.all_clean(left, "ligand"), self.rules.all_clean(right, "receptor"))

    def score_clean(self, ligands: Sequence[str], receptors: Sequence[str]) -> Scores:
        """As `score`, of sequences that `rules` has cleaned, two lists of equal length."""
        sequences, ligand, receptor = numbered(ligands, receptors, self.bundle.says.sequences.symmetric)
        self._check_lengths(sequences)
        lengths = np.array([len(one) for one in sequences], dtype=np.int64)
        found = {member.name: np.empty(len(ligand)) for member in self.members}
        for pairs in blocks(ligand, receptor, lengths, self.most_residues) if len(ligand) else ():
            used, number = np.unique(np.concatenate([ligand[pairs], receptor[pairs]]), return_inverse=True)
            local = [sequences[one] for one in used.tolist()]
            for member in self.members:
                reader = self.reader(member, local)
                own = number[: len(pairs)], number[len(pairs) :]
                found[member.name][pairs] = member.scores(*own, reader, self.device)
        return together(found, self.calibrations, self.bundle.says.mean)

    def score_table(
        self,
        frame: pd.DataFrame,
        *,
        ligand: str = "ligand",
        receptor: str = "receptor",
        members: bool = False,
        percentile: bool | str | Path = False,
    ) -> pd.DataFrame:
        """The table with the columns of `snw_dist.scoring.columns` behind its own, and its rows in their order.

        `ligand`, `receptor`: names of the columns with the sequences. With `members` also `snw_score_NAME` of each, and
        with `percentile` also `snw_percentile`, see `snw_dist.scoring.percentile`: True compares with the peptides that
        the bundle names, a FASTA file with windows of its proteins. Raises `InputError` for a column that is not there,
        and as `score` and `percentiles_of`.
        """
        check_table(frame, (ligand, receptor))
        left, right = (self.rules.all_clean(frame[name].tolist(), name) for name in (ligand, receptor))
        percentiles = percentiles_of(self, percentile)
        if percentiles is not None:
            percentiles.prepare(Wanted.of(left, right).groups)
        scored = Scored(left, right, self.score_clean(left, right))
        columns = columns_of(self.bundle, members, self.trust, percentiles)
        return frame.assign(**{column.name: column.make(scored) for column in columns})

    def rank(
        self, ligands: Texts, receptor: str, top: int = 100, *, percentile: bool | str | Path = False
    ) -> pd.DataFrame:
        """The best ligands for a receptor, best first: place (from 1), number, ligand and the columns of `score_table`.

        `number` is the place in `ligands`, counted from 0. Equal scores stay in the order in which they were given.
        Raises `InputError` for several receptors, whose scores cannot be compared, and as `score_table`.
        """
        check_whole("top", top, "100")
        if not isinstance(receptor, str):
            raise InputError(f"rank: give one receptor, as a text, not {type(receptor).__name__}.")
        ligands = listed(ligands, "ligand")
        left = self.rules.all_clean(ligands, "ligand")
        right = self.rules.all_clean([receptor], "receptor") * len(left)
        scores = self.score_clean(left, right)
        best = np.argsort(-scores.score, kind="stable")[:top]
        numbers = best.tolist()
        scored = Scored([left[number] for number in numbers], right[: len(numbers)], scores.at(best))
        columns = columns_of(self.bundle, False, self.trust, percentiles_of(self, percentile))
        ranked: dict[str, Any] = {"place": np.arange(1, len(best) + 1), "number": best}
        ranked["ligand"] = [ligands[number] for number in numbers]
        return pd.DataFrame(ranked | {column.name: column.make(scored) for column in columns})

    def attention(self, ligand: str, receptor: str) -> dict[str, FloatArray]:
        """Where each ligand residue looks in the receptor: member -> [ligand length, receptor length], rows sum to 1.

        Of sequences beyond `model.max_length`, of their middle. Raises `InputError` where no member has such a map:
        `cross_attention` and `pair_of_pairs` do.
        """
        outputs = self._outputs([ligand], [receptor])
        found = {name: _plain(one.attention[0]) for name, one in outputs.items() if one.attention is not None}
        if not found:
            raise InputError("no member has an attention map: cross_attention and pair_of_pairs have one.")
        return found

    def towers(self, ligands: Texts, receptors: Texts) -> dict[str, Towers]:
        """The vectors of sequences: member -> those of all ligands and receptors, at least one each.

        Raises `InputError` where no member has such vectors: `siamese`, `pseudo_siamese` and `triplet` do.
        """
        ligands, receptors = listed(ligands, "ligand"), listed(receptors, "receptor")
        num = len(ligands), len(receptors)
        if not all(num):
            raise InputError("towers: give at least one ligand and one receptor.")
        pairs = [(ligands[i % num[0]], receptors[i % num[1]]) for i in range(max(num))]
        outputs = self._outputs([left for left, _ in pairs], [right for _, right in pairs])
        found = {
            name: Towers(_plain(one.ligand)[: num[0]], _plain(one.receptor)[: num[1]])
            for name, one in outputs.items()
            if one.ligand is not None and one.receptor is not None
        }
        if not found:
            raise InputError("no member has vectors of its sequences: siamese, pseudo_siamese and triplet have.")
        return found

    def _outputs(self, ligands: Sequence[str], receptors: Sequence[str]) -> dict[str, PairOutput]:
        left, right = self.rules.all_clean(ligands, "ligand"), self.rules.all_clean(receptors, "receptor")
        sequences, ligand, receptor = numbered(left, right, symmetric=False)
        self._check_lengths(sequences)
        return {
            member.name: member.outputs(ligand, receptor, self.reader(member, sequences), self.device)
            for member in self.members
        }

    def reader(self, member: LoadedMember, sequences: list[str]) -> RowReader:
        """What a member reads of cleaned sequences, by their place in the list."""
        kept = self._tokens if member.tuned else self._rows
        assert kept is not None
        return kept.rows(sequences)

    def _check_lengths(self, sequences: Sequence[str]) -> None:
        longest = max(map(len, sequences), default=0)
        if self.longest is not None and longest > self.longest:
            raise InputError(
                f"a sequence of {longest:,} residues: member {self._without_windows[0]} has the encoder inside, which "
                f"takes {self.longest:,} at most."
            )

    def _parity(self) -> float:
        says, source = self.bundle.says, str(self.bundle.folder / PARITY)
        parity = validated(Parity, self.bundle.read_json(PARITY), source, refuse=CorruptError)
        scores = self.score([pair.ligand for pair in parity.pairs], [pair.receptor for pair in parity.pairs])
        return largest_difference(parity, scores.members, str(says.rows.encoder["arithmetic"]), source)


def _rules(says: BundleFile) -> Rules:
    entry = says.sequences
    return Rules(entry.non_standard, entry.min_length, entry.max_length)


def _plain(values: torch.Tensor) -> FloatArray:
    found: FloatArray = values.double().cpu().numpy()
    return found
