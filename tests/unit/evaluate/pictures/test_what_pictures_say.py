"""The texts and lines of the pictures of whole evaluations: too few pairs, many receptors, names of any kind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from snw_dist.evaluate.pictures import style as canvas
from snw_dist.evaluate.pictures.curves import SplitScores, precision_recall_picture, reliability_picture, roc_picture
from snw_dist.evaluate.report import evaluate_scores
from tests.kit.evaluate_tools import good_scores, held_out_pairs

pytestmark = pytest.mark.filterwarnings("error")
ALL = {"roc", "precision_recall", "score_histogram", "reliability", "controls", "strata"}
Drawn = Callable[..., dict[str, Figure]]


@pytest.fixture(autouse=True)
def matplotlibrc_of_a_user() -> Any:
    """It would turn every text into a formula, for a program that is not there."""
    with matplotlib.rc_context({"text.usetex": True, "pdf.fonttype": 3, "axes.facecolor": "red"}):
        yield


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Figures by name of an evaluation; laid out, which meets every text, but not saved, which takes longer."""

    def of(pairs: pd.DataFrame, controls: dict[Any, Any] | None = None, **provenance: Any) -> dict[str, Figure]:
        figures: dict[str, Figure] = {}

        def laid_out(name: str, figure: Figure) -> dict[str, bytes]:
            figure.draw_without_rendering()
            figures[name] = figure
            return {}

        monkeypatch.setattr(canvas, "files", laid_out)
        controls = {"degree": good_scores(pairs, 3, 0.2)} if controls is None else controls
        provenance = {"encoder": "made up"} | provenance
        arguments = {"repeats": 5, "seed": 1, "provenance": provenance, "metrics_log": None, "folder": tmp_path / "out"}
        evaluate_scores(pairs, good_scores(pairs), controls, **arguments)
        assert figures.keys() == ALL
        return figures

    return of


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def renamed(name: str) -> pd.DataFrame:
    pairs = held_out_pairs()
    return pairs.assign(split=pairs["split"].replace("test", name), ligand_id=name, receptor_id=name)


def test_names_are_drawn_as_they_are_or_by_number(drawn: Drawn) -> None:
    """Each names a split of one evaluation."""
    names = [
        *("$x_1$", r"\$a$ $", "_b_", "[/]", "a%b&c#d{}^~\\", "$\\frac{", "ΑΒΓ здравствуй עברית", "蛋白质", "नमस्ते"),
        *("🧬", "a\tb"),
    ]
    pairs = held_out_pairs(num_pairs=40 * len(names) + 40)
    pairs["split"] = np.resize([*names, "val"], len(pairs))
    figures = drawn(pairs, run="$x_1$ [/] _b_", network="siamese")
    for figure in figures.values():
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if text.get_text())
        said = texts(figure)
        assert any("run $x_1$ [/] _b_, network siamese" in text for text in said)
        for name in names:
            shown = {canvas.literal(name, longest) for longest in (20, 24, 40)}  # strata, legends, panels
            assert shown == {name} or all("\\" in text for text in shown)
            assert any(each in text for text in said for each in shown)


def test_characters_that_the_font_lacks_stay_apart() -> None:
    assert canvas.literal("$x_1$ é Ж") == "$x_1$ é Ж"
    assert canvas.literal("蛋白") == r"\u86cb\u767d"
    assert canvas.literal("a\nb\x00\ud800") == r"a\nb\x00\ud800"


def test_long_names_are_cut_in_the_middle_and_keep_the_size(drawn: Drawn) -> None:
    first, last = "run_of_2026-01-01_", "_seed_17"
    name = first + "x" * 500 + last
    figures, short = drawn(renamed(name), run=name, network=name), drawn(renamed("z"))
    for key, figure in figures.items():
        assert any(first in text and last in text and "..." in text for text in texts(figure))
        assert max(len(line) for text in texts(figure) for line in text.splitlines()) <= 100
        assert tuple(figure.get_size_inches()) == tuple(short[key].get_size_inches())
        box, page = figure.get_tightbbox(), figure.get_size_inches()
        assert box.width <= 1.25 * page[0]
    assert canvas.literal("abcdefghij", 7) == "ab...ij"
    assert len(canvas.literal("x" * 100)) == 40


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/home/a b/weights, old/esmc_300m.pth", "esmc_300m.pth"),
        ("/models/esmc-300m/", "esmc-300m"),
        ("~/w/x.pth", "x.pth"),
        ("../w/x.pth", "x.pth"),
        ("w/x.pth", "x.pth"),
        ("w/v/x", "x"),
        ("organisation/esmc-300m@main", "organisation/esmc-300m@main"),
        ("RANDOM weights (demonstration)", "RANDOM weights (demonstration)"),
    ],
)
def test_no_folder_in_a_title(source: str, shown: str) -> None:
    shape = "encoder: ESM C, 30 layers of 960, "
    facts = {"encoder": shape.removeprefix("encoder: ") + source}
    assert canvas.about(facts) == shape + shown
    assert canvas.about(facts | {"run": "a", "network": "b"}) == f"run a, network b\n{shape}{shown}"


def test_four_pairs_are_no_line_and_no_claim(drawn: Drawn) -> None:
    pairs = held_out_pairs(num_pairs=12)
    pairs["split"] = ["val", "test", "mixed"] * 4
    pairs["positive"] = np.arange(12) % 2 == 0
    figures = drawn(pairs)
    assert "4 pairs, 2 positive: too few" in "\n".join(texts(figures["controls"]))
    assert any(text.endswith("test: too few pairs") for text in texts(figures["roc"]))
    assert any(text.startswith("bins of fewer than 5 pairs: ") for text in texts(figures["reliability"]))
    for panel in figures["reliability"].axes:
        assert not [line for line in panel.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 1]
    assert not [panel for panel in figures["score_histogram"].axes if panel.patches]
    assert "positive (2), one by one" in texts(figures["score_histogram"])


def test_small_bins_are_faint_and_counted_and_the_rest_is_a_line() -> None:
    probability = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], [50, 2, 60, 1, 4])
    positive = np.arange(probability.size) % 3 == 0
    with canvas.own_style():
        figure = reliability_picture([SplitScores("test", positive, probability, probability)], "x")
    above = figure.axes[0]
    lines = {str(line.get_label()): line for line in above.lines}
    [calibrated] = [line for label, line in lines.items() if label.startswith("calibrated: ECE")]
    np.testing.assert_allclose(calibrated.get_xdata(), [0.1, 0.5])
    faint = lines["bins of fewer than 5 pairs: 3"]
    assert list(np.round(faint.get_xdata(), 3)) == [0.3, 0.7, 0.9]
    assert faint.get_linestyle() == "None"
    assert faint.get_alpha() < 0.5


def test_one_class_is_said(drawn: Drawn) -> None:
    for flag in (True, False):
        figures = drawn(held_out_pairs().assign(positive=flag))
        for name in ("roc", "precision_recall"):
            assert "no split has both classes" in texts(figures[name])
            assert not any("degree" in text for text in texts(figures[name]))  # none is the best on val
        assert any("one class" in text for text in texts(figures["strata"]))


@pytest.mark.parametrize("num_receptors", [41, 300])
def test_many_receptors(drawn: Drawn, num_receptors: int) -> None:
    pairs = held_out_pairs(num_pairs=1200)
    numbers = np.arange(len(pairs)) % num_receptors
    figures = drawn(pairs.assign(receptor=[f"A{i}" for i in numbers], receptor_id=[f"r{i}" for i in numbers]))
    assert "reliability" in figures


def test_the_control_is_chosen_on_val_alone_and_turned_round(drawn: Drawn) -> None:
    pairs = held_out_pairs()
    truth, val = pairs["positive"].to_numpy(dtype=np.float64), (pairs["split"] == "val").to_numpy()
    noise = np.random.default_rng(0).random(len(pairs))
    controls = {
        "degree": np.where(val, -truth - noise / 2, noise),  # perfect on val, backwards, and nothing elsewhere
        "receptor": np.where(val, noise, truth),  # the other way
        "ligand": np.where(val, noise, 1 - truth),
    }
    figures = drawn(pairs, controls)
    [entry] = [text for text in texts(figures["roc"]) if "val, " in text]
    assert entry == "1.000  val, degree, turned round"
    [entry] = [text for text in texts(figures["roc"]) if "  test, " in text]
    assert entry.endswith("degree, turned round")
    assert 0.3 < float(entry.split()[0]) < 0.7
    assert any("the control that is best on val" in text for text in texts(figures["roc"]))
    del controls["receptor"]
    figures = drawn(pairs, controls)
    assert "ligand, turned round" in texts(figures["strata"])
    heights = [bar.get_height() for bar in figures["strata"].axes[0].patches]
    assert max(heights) == pytest.approx(1.0)
    assert any("open circle: turned round" in text for text in texts(figures["controls"]))


def test_a_million_pairs_are_a_small_file_of_the_same_curve() -> None:
    draw = np.random.default_rng(1)
    positive = draw.random(300_000) < 0.3
    scores = draw.random(300_000) + positive * 0.3
    split = SplitScores("test", positive, scores, scores)
    with canvas.own_style():
        for picture in (roc_picture, precision_recall_picture):
            figure = picture([split], "x")
            [curve] = [line for line in figure.axes[0].lines if "test" in str(line.get_label())]
            x, y = (np.asarray(values) for values in curve.get_data())
            assert 100 < x.size < 20_000
            area = abs(np.trapezoid(y, x))
            assert area == pytest.approx(float(str(curve.get_label()).split()[0]), abs=2e-3)


def test_files_hold_no_time_and_text_as_text() -> None:
    """In two processes at different times, in different zones."""
    code = """
import hashlib
from snw_dist.evaluate.pictures import style as canvas
with canvas.own_style():
    figure, axes = canvas.new_figure(4, 3)
    axes.plot([0, 1], [0, 1], label="a_test")
    axes.legend()
    for name, data in canvas.files("it", canvas.titled(figure, "title", "x")).items():
        print(name, hashlib.sha256(data).hexdigest(), data.count(b"/Type3"), b"/CIDFontType2" in data)
"""
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"TZ": zone}
        ).stdout
        for zone in ("UTC", "Asia/Tokyo")
    )
    assert first == second
    assert first.split()[4] == "it.pdf"
    assert first.split()[6:] == ["0", "True"]


def test_a_large_picture_is_coarser_and_not_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "_MOST_PIXELS", 1e4)
    with canvas.own_style():
        files = canvas.files("it", canvas.new_figure(6.0, 3.0)[0])
    width, height = (int.from_bytes(files["it.png"][at : at + 4], "big") for at in (16, 20))
    assert 5e3 < width * height < 2e4
