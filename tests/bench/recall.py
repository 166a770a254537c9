"""What the first stage of a screen loses: the truth, and what a screen says: `python -m tests.bench.recall`.

    python -m tests.bench.recall --bundle siamese --rerank cross_attention [--json]

The library is peptides of nine residues like those of nature; the receptors are some that the first bundle was trained
on. In one screen the second stage scores every pair, so it tells what belongs on the lists. Then there is a screen for
each `--rerank-top`, whose estimate stands beside the truth. `samples` are 200 other samples of the same size: the mean
of what they say, and in how many of them the truth is in the interval.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from hpc.disk.reading import read_json
from snw_dist.bundle.background import PERCENT
from snw_dist.bundle.background import drawn as peptides
from snw_dist.bundle.format import TRAINED_ON
from snw_dist.bundle.locate import find_bundle
from snw_dist.screen.asked import Asked
from snw_dist.screen.recall import Recall, sample_size
from snw_dist.screen.sample import drawn
from tests.bench.common import finish, parser, say, show
from tests.kit.screen_tools import screened

SAMPLES = 200
LENGTH = 9


def everything(asked: Asked, num: int) -> pd.DataFrame:
    """Every pair with its places in both stages, from 1."""
    folder = screened(replace(asked, rerank_top=num, top=num, to=asked.to / "everything"))
    return pd.concat([pd.read_parquet(file) for file in sorted((folder / "hits").glob("*.parquet"))])


def true_recall(table: pd.DataFrame, most: int, top: int) -> tuple[float, pd.DataFrame]:
    """The recall, and the pairs that belong on the lists of a second stage that looks at `most`."""
    seen = table[table["snw_first_rank"] <= most].sort_values("snw_rank")
    last = seen.groupby("receptor")["snw_rank"].nth(top - 1).to_numpy()
    ends = dict(zip(seen.groupby("receptor").nth(top - 1)["receptor"], last, strict=True))
    belongs = table[table["snw_rank"] <= table["receptor"].map(ends)]
    return float((belongs["snw_first_rank"] <= most).mean()), belongs


def estimates(table: pd.DataFrame, belongs: pd.DataFrame, most: int, num: int) -> list[Recall]:
    """What other samples would have said."""
    receptors, found = table["receptor"].unique().tolist(), []
    each = sample_size(num, len(receptors), most)
    places = {name: own["snw_first_rank"].to_numpy() for name, own in belongs.groupby("receptor")}
    hits = np.concatenate([ranks[ranks <= most] for ranks in places.values()])
    for draw in range(SAMPLES):
        missed = []
        for number, name in enumerate(receptors):
            sample = 1 + drawn(num, np.arange(most), each, 1 + number + len(receptors) * draw)
            missed.append(np.intersect1d(sample, places[name]).astype(np.float64))
        others = (num - most) * len(receptors)
        found.append(Recall(most, others, hits, each * len(receptors), np.concatenate(missed)))
    return found


def measured(asked: Asked, table: pd.DataFrame, num: int) -> dict[str, float]:
    """What is told of one `--rerank-top`."""
    most, top = asked.rerank_top or 0, asked.top or 0
    truth, belongs = true_recall(table, most, top)
    said = read_json(screened(replace(asked, to=asked.to / str(most))) / "result.json")["recall"]
    others = [one.interval for one in estimates(table, belongs, most, num)]
    intervals = np.array([one for one in others if one is not None])
    figures = {"truth": truth, "said": said["recall"], "low": said["interval"][0], "high": said["interval"][1]}
    figures |= {"sampled": said["sampled"], "others": said["others"], "mean": float(intervals[:, 0].mean())}
    return figures | {"inside": float(((intervals[:, 1] <= truth) & (truth <= intervals[:, 2])).mean())}


def row_of(most: int, one: dict[str, float]) -> list[str]:
    """A row of the table."""
    said = f"{one['said']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
    sample = f"{one['sampled']:,} of {one['others']:,}"
    return [f"{most:,}", f"{one['truth']:.3f}", said, sample, f"{one['mean']:.3f}", f"{one['inside']:.1%}"]


def main() -> None:
    """Print the table."""
    options = parser(__doc__ or "")
    options.add_argument("--bundle", required=True, help="of the first stage")
    options.add_argument("--rerank", required=True, help="bundle of the second stage")
    options.add_argument("--ligands", type=int, default=4000, help="peptides of the library")
    options.add_argument("--receptors", type=int, default=8)
    options.add_argument("--top", type=int, default=20)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        known = find_bundle(given.bundle).read_json(TRAINED_ON)["receptors"][: given.receptors]
        sides = {"ligands": peptides(PERCENT, 1, given.ligands, LENGTH), "receptors": known}
        files = {side: folder / f"{side}.fasta" for side in sides}
        for side, sequences in sides.items():
            files[side].write_text("".join(f">{place}\n{one}\n" for place, one in enumerate(sequences)))
        asked = Asked(given.bundle, **files, to=folder / "screen", top=given.top, rerank=given.rerank, device="cpu")
        num = len(set(sides["ligands"]))
        table = everything(asked, num).drop_duplicates(["receptor", "ligand_sequence"])
        figures: dict[int, dict[str, float]] = {}
        for most in (num // 80, num // 40, num // 20, num // 10, num // 4):
            figures[most] = measured(replace(asked, rerank_top=max(most, given.top)), table, num)
            say(f"--rerank-top {most}: done")
    columns = ["--rerank-top", "true recall", "said (95 % interval)", "sample", "samples: mean", "truth in interval"]
    if not given.json:
        title = f"{num:,} ligands, {len(known)} receptors, --top {given.top}"
        show(title, columns, [row_of(most, one) for most, one in figures.items()])
    finish(given.json, {str(most): one for most, one in figures.items()})


if __name__ == "__main__":
    main()
