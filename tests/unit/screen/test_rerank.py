"""The second stage: the best of the first one, by the scores of another bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from hpc.errors import InputError, Preempted
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen.asked import Asked, check, prepared_screen
from snw_dist.screen.run import run_screen
from tests.kit.bundle_tools import bundled, compared_runs
from tests.kit.screen_tools import result_of, runtime_of, screened
from tests.kit.split_tools import random_sequences


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks, one of which has no vectors."""
    folder = tmp_path_factory.mktemp("slow")
    return bundled(compared_runs(folder, ["siamese", "cross_attention"], [1]), folder / "both", "all")


def hits_of(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(file) for file in sorted((folder / "hits").glob("*.parquet"))])


def test_the_best_are_ranked_by_the_other_bundle(asked: Asked, slow: Path, tmp_path: Path) -> None:
    """What the first stage says of them is there, too."""
    (tmp_path / "proteins.fasta").write_text(f">p\n{random_sequences(1, 1010, 3)[0]}\n")
    asked = replace(asked, percentile=tmp_path / "proteins.fasta", block_residues=10_000)
    first = hits_of(screened(replace(asked, top=12)))
    both = replace(asked, rerank=str(slow), rerank_top=12, top=5, to=asked.to.with_name("both"))
    found, scorer = hits_of(screened(both)), PairScorer.load(slow, device="cpu")
    sequences = dict(zip(*_fasta(asked.receptors), strict=True))
    for receptor, mine in found.groupby("receptor"):
        before = first[first["receptor"] == receptor].drop_duplicates("ligand_sequence").set_index("ligand_sequence")
        scores = scorer.score(before.index.tolist(), sequences[receptor])
        expected = before.assign(score=scores.score, probability=scores.probability)
        expected["length"] = expected.index.str.len()
        expected = expected.rename_axis("letters").reset_index()
        expected = expected.sort_values(["score", "length", "letters"], ascending=[False, True, True])[:5]
        mine = mine.drop_duplicates("ligand_sequence")
        assert mine["ligand_sequence"].tolist() == expected["letters"].tolist()
        assert mine["snw_score"].tolist() == expected["score"].tolist()
        assert mine["snw_probability"].tolist() == expected["probability"].tolist()
        assert mine["snw_first_score"].tolist() == expected["snw_score"].tolist()
        assert mine["snw_first_rank"].tolist() == expected["snw_rank"].tolist()
        assert mine["snw_first_percentile"].tolist() == expected["snw_percentile"].tolist()
        assert mine["snw_ligand_alone"].tolist() == expected["snw_ligand_alone"].tolist()
        assert mine["snw_rank"].tolist() == [1, 2, 3, 4, 5]
    assert "snw_first_rank" not in first.columns
    assert "snw_percentile" not in found.columns, "no natural peptide has a score of the second stage"


def test_stopped_or_shared_it_has_the_same_bytes(asked: Asked, slow: Path) -> None:
    one = replace(asked, rerank=str(slow), rerank_top=7, top=None)
    alone = result_of(screened(one))
    assert result_of(screened(replace(one, to=asked.to.with_name("shared")), tasks=3)) == alone
    other = replace(one, to=asked.to.with_name("stopped"))
    plan = prepared_screen(other)
    assert plan is not None
    with patch("snw_dist.screen.rerank._PAIRS", 2):
        for stop_at in (60, 65, 70, 1000):
            runtime = runtime_of(other.to.parent / "job", stop_at=stop_at)
            with contextlib.suppress(Preempted):
                run_screen({"to": str(other.to), "plan": plan.digest}, runtime)
    assert result_of(other.to) == alone


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rerank": "b"}, "belong together"),
        ({"rerank_top": 5}, "belong together"),
        ({"rerank": "b", "rerank_top": 3}, "--top 5: only --rerank-top 3"),
    ],
)
def test_options_that_do_not_fit(asked: Asked, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(replace(asked, **options))  # type: ignore[arg-type]


def _fasta(file: Path) -> Iterator[list[str]]:
    lines = file.read_text().split()
    yield [line[1:] for line in lines[::2]]
    yield lines[1::2]
