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
from snw_dist.screen.false_hits import CutoffUnits
from snw_dist.screen.hits import Ranking, Sides
from snw_dist.screen.library import Kind, StoredLibrary
from snw_dist.screen.making import Making
from snw_dist.screen.plan import grid_of
from snw_dist.screen.plan_file import WORK, ScreenPlan, plan_of_job
from snw_dist.screen.ranked import Lists, by_first
from snw_dist.screen.rerank import RerankUnits, SecondStage
from snw_dist.screen.result import ShardUnits, finish, is_finished
from snw_dist.screen.sample import SampleUnits
from snw_dist.screen.towers import Towers
from snw_dist.screen.unit import ListUnits, ScoreUnits, Scoring
from snw_dist.screen.vectors import VectorSet, VectorUnits, begin_vectors, made_of_vectors, open_vectors
from snw_dist.screen.work import Units, do_all

KINDS: tuple[Kind, Kind] = ("ligand", "receptor")
_ROWS_BYTES = 1 << 26
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
    sets = [making.sides.receptor_vectors, making.sides.ligand_vectors]
    cutoffs = CutoffUnits(making)
    shards = ShardUnits(making, cutoffs)
    first: list[Units] = [VectorUnits(sets, making.towers), ScoreUnits(making.scoring), ListUnits(making.scoring)]
    for units in [*first, *(again or ()), cutoffs, shards]:
        with long_work(units.kind):
            do_all(units, runtime, finished)
    runtime.comm.on_rank_0(lambda: None if finished() else finish(making, shards, cutoffs, again and again[1]))


def _making(to: Path, plan: ScreenPlan, runtime: Runtime) -> tuple[Making, tuple[RerankUnits, SampleUnits] | None]:
    scorer = _loaded(plan.bundle, plan.content.bundle, plan, runtime)
    towers = Towers(scorer)
    ligands, receptors = (StoredLibrary(to / WORK / kind, plan.content.libraries[kind]) for kind in KINDS)
    ligand_vectors, receptor_vectors = (_vectors(kind, to, plan, towers, runtime) for kind in KINDS)
    scoring = Scoring(
        folder=to / WORK / runtime.device.type,
        screen=plan.digest,
        grid=grid_of(ligand_vectors.starts, len(receptors), plan.unit_pairs),
        ligands=ligand_vectors,
        receptors=receptor_vectors,
        most=plan.content.most,
        margin=towers.margin,
        device=runtime.device,
    )
    sides = Sides(ligands, receptors, ligand_vectors, receptor_vectors)
    if plan.rerank is None or plan.content.rerank is None:
        first = ListUnits(scoring)
        lists: Lists = lambda group: by_first(first.read(group), towers.member.name)  # noqa: E731
        return Making(to, plan, scoring, sides, towers, Ranking(scorer, False), lists), None
    better = _loaded(plan.rerank, plan.content.rerank, plan, runtime)
    most = plan.content.top or plan.content.most
    stage = SecondStage(better, ligands, receptors, towers.member.name, most)
    again = RerankUnits(scoring, stage), SampleUnits(scoring, stage)
    return Making(to, plan, scoring, sides, towers, Ranking(better, True), again[0].read), again


def _loaded(source: str, sha256: str, plan: ScreenPlan, runtime: Runtime) -> PairScorer:
    scorer = PairScorer.load(source, device=runtime.device, encoder=plan.encoder, memory_bytes=_ROWS_BYTES)
    if scorer.bundle.sha256 != sha256:
        raise InputError(f"{source}: another bundle by now than this screen was begun with. Start the screen again.")
    return scorer


def _vectors(kind: Kind, to: Path, plan: ScreenPlan, towers: Towers, runtime: Runtime) -> VectorSet:
    """Collective: the set of a side; rank 0 begins it."""
    sequences = StoredLibrary.sequences_file(to / WORK / kind)

    def begin() -> str:
        made_of = made_of_vectors(kind, sequences, towers, plan.content.dtype)
        return str(begin_vectors(Path(plan.vectors), made_of, sequences, plan.block_residues).folder)

    return open_vectors(Path(runtime.comm.on_rank_0(begin)))
