"""What is asked for on a command line, checked before anything is submitted, and left in the folder of the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpc.amounts import count_of
from hpc.disk.storage import check_room
from hpc.errors import InputError
from hpc.told import long_work, tell
from snw_dist.bundle.locate import find_bundle, refuse_inside
from snw_dist.bundle.read import Bundle
from snw_dist.scoring.percentile import background_of
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.sequences import Rules
from snw_dist.screen.alone import FILE as REFERENCES_FILE
from snw_dist.screen.alone import references_of
from snw_dist.screen.background import Peptides, compared_with, texts_file
from snw_dist.screen.errors.conformal import exact_rate
from snw_dist.screen.false_hits import check_promise
from snw_dist.screen.library import Kind, Library, other, read_library, told
from snw_dist.screen.plan import BLOCK_RESIDUES, UNIT_PAIRS, block_starts
from snw_dist.screen.plan_file import WORK, Compared, Content, ScreenPlan
from snw_dist.screen.preflight import estimate, most_entries, second_stage_line
from snw_dist.screen.rerank import check_second
from snw_dist.screen.result import REJECTS, is_finished
from snw_dist.screen.target import leave_plan, plan_before, refuse_foreign
from snw_dist.screen.towers import Towers, check_network
from snw_dist.version import __version__

_UNLIKE = (
    "--by ligand ranks receptors by snw_score, and some receptors give every ligand a higher score than others do. Add "
    "--percentile to see what each score is worth with its receptor."
)


@dataclass(frozen=True)
class Asked:
    """The options of the command, see `launch.screen`."""

    bundle: str
    ligands: Path
    receptors: Path
    to: Path
    by: Kind = "receptor"
    """Who has a list."""
    top: int | None = None
    threshold: float | None = None
    false_rate: float | None = None
    rerank: str | None = None
    """Bundle that looks again at the best `rerank_top` of each receptor."""
    rerank_top: int | None = None
    percentile: bool | Path = False
    """Scores are compared with natural peptides; with windows of the proteins of a FASTA file, if one is given."""
    vectors: Path | None = None
    """Folder of vectors that later screens use again; None: in `to`."""
    dtype: str = "float32"
    encoder: str | None = None
    on_invalid: str = "error"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    block_residues: int = BLOCK_RESIDUES
    unit_pairs: int = UNIT_PAIRS


def check(asked: Asked) -> None:
    """Raise `InputError` for options that cannot be, before anything is loaded."""
    for name, path in (("ligands", asked.ligands), ("receptors", asked.receptors)):
        if not path.is_file():
            raise InputError(f"--{name} {path}: no such file.")
    if isinstance(asked.percentile, Path) and not asked.percentile.is_file():
        raise InputError(f"--background {asked.percentile}: no such file.")
    if asked.to.exists() and not asked.to.is_dir():
        raise InputError(f"--to {asked.to}: not a folder. Choose another name.")
    for bundle in filter(None, (asked.bundle, asked.rerank)):
        refuse_inside(bundle, "--to", asked.to)
        refuse_inside(bundle, "--vectors", asked.vectors or asked.to)
    for option, number in (
        ("top", asked.top),
        ("rerank-top", asked.rerank_top),
        ("block-residues", asked.block_residues),
        ("unit-pairs", asked.unit_pairs),
    ):
        if number is not None and number < 1:
            raise InputError(f"--{option} {number}: give a number from 1 on.")
    if asked.threshold is not None and not 0 <= asked.threshold <= 1:
        raise InputError(f"--threshold {asked.threshold}: give a score from 0 to 1.")
    if asked.false_rate is not None:
        exact_rate(asked.false_rate)
    if (asked.rerank is None) != (asked.rerank_top is None):
        raise InputError("--rerank BUNDLE and --rerank-top N belong together. Give both, or none.")
    if asked.rerank_top is not None and asked.top is not None and asked.top > asked.rerank_top:
        raise InputError(
            f"--top {asked.top}: only --rerank-top {asked.rerank_top} are ranked again. Give at most these."
        )
    _check_by(asked)
    _one_of("on-invalid", asked.on_invalid, "error", "skip")
    _one_of("vector-dtype", asked.dtype, "float32", "float16")
    _one_of("device", asked.device, "auto", "cpu", "cuda")


def _check_by(asked: Asked) -> None:
    _one_of("by", asked.by, "receptor", "ligand")
    of_receptors = {"false-rate": asked.false_rate, "rerank": asked.rerank}
    for option, value in of_receptors.items():
        if asked.by == "ligand" and value is not None:
            raise InputError(f"--{option}: is for the lists of receptors. Leave out --by ligand, or --{option}.")


def prepared_screen(
    asked: Asked, dry_run: bool = False, begins_anew: Callable[[], None] = lambda: None
) -> ScreenPlan | None:
    """Read and check everything, say what it costs, and leave the plan in the folder; None where the result is there.

    With `dry_run` nothing is written. `begins_anew` is called before anything of another screen is removed, and raises
    what speaks against it.

    Raises `InputError` for what cannot be used, and where the folder holds something else, or the result of another
    screen.
    """
    check(asked)
    check_network(find_bundle(asked.bundle))
    here: Literal["auto", "cpu"] = "cpu" if asked.device == "cpu" else "auto"  # a login node may have no GPU
    towers = Towers(PairScorer.load(asked.bundle, device=here, encoder=asked.encoder))
    rules = _rules(towers.scorer)
    files: dict[Kind, Path] = {"ligand": asked.ligands, "receptor": asked.receptors}
    with long_work("reading the libraries"):
        libraries = {kind: read_library(kind, path, rules) for kind, path in files.items()}
    _say_libraries(libraries, files, asked.on_invalid)
    second, bundle = _second(asked, here, libraries), towers.scorer.bundle
    if asked.false_rate is not None:
        ranks = (bundle, None) if second is None else (second.bundle, bundle)
        for line in check_promise(ranks[0], libraries["receptor"].sequences, asked.false_rate, ranks[1]):
            tell(line)
    most = _most(asked, libraries)
    compared, peptides = _compared(asked, towers.scorer.bundle, libraries)
    plan = _plan(asked, towers, second, libraries, files, most, compared)
    before = plan_before(asked.to, plan.digest)
    if before is not None and before.digest == plan.digest and is_finished(asked.to):
        return None
    refuse_foreign(asked.to)
    if asked.by == "ligand" and compared is None:
        tell(_UNLIKE)
    _say_cost(asked, plan, towers, second, libraries, peptides)
    if not dry_run:
        texts = _texts(asked.to / WORK, towers.scorer.bundle, peptides)
        leave_plan(asked.to, plan, libraries, files, texts, begins_anew)
    return plan


def _say_cost(
    asked: Asked,
    plan: ScreenPlan,
    towers: Towers,
    second: PairScorer | None,
    libraries: dict[Kind, Library],
    peptides: Peptides,
) -> None:
    """Raise `EnvironmentProblem` where there is no room for what is to be written."""
    starts, most = block_starts(libraries[other(asked.by)].lengths, asked.block_residues), plan.content.most
    cost = estimate(towers, libraries, asked.by, starts, most, asked.dtype, asked.unit_pairs, peptides)
    for line in cost.lines():
        tell(line)
    if second is not None:
        tell(second_stage_line(second, libraries, most))
    check_room(cost.room(asked.to, Path(plan.vectors), exact=asked.threshold is None and asked.false_rate is None))


def _second(asked: Asked, device: Literal["auto", "cpu"], libraries: dict[Kind, Library]) -> PairScorer | None:
    if asked.rerank is None:
        return None
    scorer = PairScorer.load(asked.rerank, device=device, encoder=asked.encoder)
    check_second(scorer, libraries)
    return scorer


def _most(asked: Asked, libraries: dict[Kind, Library]) -> int:
    """Entries of a list of the first stage."""
    num, owners = (len(libraries[kind].sequences) for kind in (other(asked.by), asked.by))
    limited = asked.threshold is not None or asked.false_rate is not None
    return most_entries(num, owners, asked.rerank_top or asked.top, limited, asked.by)


def _compared(asked: Asked, bundle: Bundle, libraries: dict[Kind, Library]) -> tuple[Compared | None, Peptides]:
    """The peptides that scores are compared with, if that is asked for."""
    background = background_of(bundle, asked.percentile)
    if background is None:
        return None, {}
    return compared_with(background, libraries["ligand"], len(libraries["receptor"].sequences))


def _one_of(option: str, word: str, *legal: str) -> None:
    if word not in legal:
        raise InputError(f"--{option} {word}: give {' or '.join(legal)}.")


def _rules(scorer: PairScorer) -> Rules:
    rules, longest = scorer.rules, scorer.longest
    return Rules(rules.non_standard, rules.min_length, min(rules.max_length, longest or rules.max_length))


def _plan(
    asked: Asked,
    towers: Towers,
    second: PairScorer | None,
    libraries: dict[Kind, Library],
    files: dict[Kind, Path],
    most: int,
    compared: Compared | None,
) -> ScreenPlan:
    digests: dict[Kind, str] = {kind: library.digest for kind, library in libraries.items()}
    sha256 = towers.scorer.bundle.sha256
    rerank = None if second is None else second.bundle.sha256
    kept = (asked.by, most, asked.top, asked.threshold, asked.false_rate)
    content = Content(sha256, digests, *kept, rerank, compared, asked.dtype, __version__)
    vectors = asked.vectors or asked.to / "vectors"
    return ScreenPlan(
        content=content,
        bundle=_absolute(asked.bundle),
        rerank=None if asked.rerank is None else _absolute(asked.rerank),
        encoder=asked.encoder,
        vectors=str(vectors.absolute()),
        block_residues=asked.block_residues,
        unit_pairs=asked.unit_pairs,
        accounting={kind: library.accounting() for kind, library in libraries.items()},
        files={kind: path.name for kind, path in files.items()},
    )


def _texts(work: Path, bundle: Bundle, peptides: Peptides) -> dict[Path, Sequence[str]]:
    """The sequences that jobs need beside those of the libraries, by their file."""
    files = {texts_file(work, length): found for length, found in peptides.items()}
    return {work / REFERENCES_FILE: references_of(bundle), **files}


def _absolute(bundle: str) -> str:
    """For jobs that start elsewhere: a folder by its whole path, an id of the hub as it is."""
    folder = Path(bundle).expanduser()
    return str(folder.absolute()) if folder.is_dir() else bundle


def _say_libraries(libraries: dict[Kind, Library], files: dict[Kind, Path], on_invalid: str) -> None:
    """Raise `InputError` naming the first records that cannot be used, unless they are to be left out."""
    if on_invalid == "error" and any(library.rejects for library in libraries.values()):
        lines = [line for kind, library in libraries.items() for line in told(files[kind], library.rejects)]
        count = count_of(sum(len(library.rejects) for library in libraries.values()), "record")
        fix = f"Correct the file, or add --on-invalid skip to leave them out and list them in {REJECTS}."
        raise InputError("\n".join([*lines, f"{count} cannot be used. {fix}"]))
    for kind, library in libraries.items():
        for note in library.notes:
            tell(note)
        counts = library.accounting()
        tell(
            f"{files[kind]}: {count_of(counts['records'], 'record')} = {counts['used']:,} used + {counts['merged']:,} "
            f"merged + {counts['rejected']:,} rejected; {count_of(counts['distinct_sequences'], 'distinct sequence')}"
        )
