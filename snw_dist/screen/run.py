"""The job of a screen: vectors, scores, lists, result, one after another, each shared out between whoever is there."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

from hpc.errors import InputError
from hpc.job.runtime import Runtime
from hpc.told import long_work
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen.alone import FILE as REFERENCES_FILE
from snw_dist.screen.background import BackgroundUnits, texts_file
from snw_dist.screen.counts import CountUnits
from snw_dist.screen.evidence import ScreenEvidence
from snw_dist.screen.false_hits import CutoffUnits
from snw_dist.screen.hits import Sides
from snw_dist.screen.library import Kind, StoredLibrary
from snw_dist.screen.making import Making
from snw_dist.screen.plan import grid_of, lists_together
from snw_dist.screen.plan_file import WORK, ScreenPlan, plan_of_job
from snw_dist.screen.ranked import Lists, by_first
from snw_dist.screen.rerank import RerankUnits, SecondStage
from snw_dist.screen.result import ShardUnits, finish, is_finished
from snw_dist.screen.rows import Ranking
from snw_dist.screen.sample import SampleUnits
from snw_dist.screen.towers import Towers
from snw_dist.screen.unit import ListUnits, ScoreUnits, Scoring
from snw_dist.screen.vectors import VectorSet, VectorUnits, begin_vectors, made_of_vectors, open_vectors
from snw_dist.screen.work import Units, do_all

KINDS: tuple[Kind, Kind] = ("ligand", "receptor")
_ROWS_BYTES = 1 << 26
_Again = tuple[RerankUnits, SampleUnits] | None
"""The second stage, where there is one."""
log = logging.getLogger(__name__)


def run_screen(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point; values: `to`, the folder of the screen, and `plan`, the digest of what is to be done there."""
    to = Path(values["to"])
    plan = plan_of_job(to, values["plan"])
    finished = functools.partial(is_finished, to)
    if runtime.comm.on_rank_0(finished):
        log.info("%s has its result already", to)
        return
    making, again = _making(to, plan, runtime)
    sets = [making.sides.receptor_vectors, making.references, making.sides.ligand_vectors, *making.peptides.values()]
    background = BackgroundUnits(
        making.scoring.folder, plan.digest, making.peptides, making.sides.receptor_vectors, making.towers
    )
    cutoffs = CutoffUnits(making)
    counts = CountUnits(making, cutoffs)
    shards = ShardUnits(making, cutoffs, ScreenEvidence(making, cutoffs, counts, background))
    first: list[Units] = [VectorUnits(sets, making.towers), ScoreUnits(making.scoring), ListUnits(making.scoring)]
    for units in [*first, *(again or ()), cutoffs, counts, background, shards]:
        with long_work(units.kind):
            do_all(units, runtime, finished)
    runtime.comm.on_rank_0(lambda: None if finished() else finish(making, shards, cutoffs, again and again[1]))


def _making(to: Path, plan: ScreenPlan, runtime: Runtime) -> tuple[Making, _Again]:
    scorer = _loaded(plan.bundle, plan.content.bundle, plan, runtime)
    towers, work = Towers(scorer), to / WORK
    ligands, receptors = (StoredLibrary(work / kind, plan.content.libraries[kind]) for kind in KINDS)
    begin = functools.partial(_vectors, plan, towers, runtime)
    ligand_vectors, receptor_vectors = (begin(kind, StoredLibrary.sequences_file(work / kind)) for kind in KINDS)
    by, most = plan.content.by, plan.content.most
    sides = Sides(ligands, receptors, ligand_vectors, receptor_vectors, by)
    ranked = ligand_vectors if by == "receptor" else receptor_vectors
    scoring = Scoring(
        folder=work / runtime.device.type,
        screen=plan.digest,
        grid=grid_of(ranked.starts, len(sides.owners), plan.unit_pairs, lists_together(by, most)),
        ligands=ligand_vectors,
        receptors=receptor_vectors,
        by=by,
        most=most,
        margin=towers.margin,
        device=runtime.device,
    )
    compared = plan.content.background
    lengths = compared.lengths if compared else []
    peptides = {length: begin("ligand", texts_file(work, length)) for length in lengths}
    ranking, lists, again = _lists(plan, scoring, sides, scorer, runtime)
    references = begin("receptor", work / REFERENCES_FILE)
    return Making(to, plan, scoring, sides, references, peptides, towers, ranking, lists), again


def _lists(
    plan: ScreenPlan, scoring: Scoring, sides: Sides, scorer: PairScorer, runtime: Runtime
) -> tuple[Ranking, Lists, _Again]:
    """Who has ranked the lists as they are written, these, and the second stage."""
    what, [member] = plan.content.background.what if plan.content.background else None, scorer.members
    promised = plan.content.false_rate is not None
    if plan.rerank is None or plan.content.rerank is None:
        first = ListUnits(scoring)
        ranking = Ranking(scorer, plan.content.by, False, what, promised)
        return ranking, lambda group: by_first(first.read(group), member.name), None
    better = _loaded(plan.rerank, plan.content.rerank, plan, runtime)
    most = plan.content.top or plan.content.most
    stage = SecondStage(better, sides.ligands, sides.receptors, member.name, most)
    again = RerankUnits(scoring, stage), SampleUnits(scoring, stage)
    return Ranking(better, plan.content.by, True, what, promised), again[0].read, again


def _loaded(source: str, sha256: str, plan: ScreenPlan, runtime: Runtime) -> PairScorer:
    scorer = PairScorer.load(source, device=runtime.device, encoder=plan.encoder, memory_bytes=_ROWS_BYTES)
    if scorer.bundle.sha256 != sha256:
        raise InputError(f"{source}: another bundle by now than this screen was begun with. Start the screen again.")
    return scorer


def _vectors(plan: ScreenPlan, towers: Towers, runtime: Runtime, kind: Kind, sequences: Path) -> VectorSet:
    """Collective: the set of the sequences in a file of `Texts`; rank 0 begins it."""

    def begin() -> str:
        made_of = made_of_vectors(kind, sequences, towers, plan.content.dtype)
        return str(begin_vectors(Path(plan.vectors), made_of, sequences, plan.block_residues).folder)

    return open_vectors(Path(runtime.comm.on_rank_0(begin)))
