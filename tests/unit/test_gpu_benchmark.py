"""The benchmark of one GPU on a processor: its arithmetic, and that its encoder's part runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench.gpu import encoder
from tests.bench.gpu.__main__ import beside
from tests.bench.gpu.kernels import kind_of, summary
from tests.bench.gpu.on_cuda import read
from tests.bench.gpu.scale import TINY
from tests.bench.gpu.targets import targets
from tests.bench.gpu.train import rates

PYTEST = """\
..F.s
============================= slowest 10 durations =============================
41.20s call     tests/gpu/test_a.py::test_long[bf16-2]
3.01s setup    tests/gpu/test_a.py::test_short
=========================== short test summary info ============================
FAILED tests/gpu/test_a.py::test_bad - assert 1 == 2
1 failed, 3 passed, 1 skipped in 50.00s
"""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nvjet_sm90_tst_192x208_64x4_1x2_h_bz_coopB_TNT", "matrix products"),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64>>", "attention"),
        ("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float>", "norms"),
        (
            "void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda>",
            "copies and changes of type",
        ),
        ("_swiglu", "SwiGLU and other activations"),
        ("_attend", "attention"),
        ("_norm_and_rotate", "rotary embedding"),
        ("Something new", "other"),
    ],
)
def test_a_kernel_is_counted_by_its_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_shares_are_of_the_whole_and_the_longest_come_first() -> None:
    found = summary({"a_gemm": 1.0, "flash": 2.0, "b_gemm": 5.0}, most=2)
    assert found["by_kind"] == {"matrix products": 0.75, "attention": 0.25}
    assert list(found["longest"].items()) == [("b_gemm", 0.625), ("flash", 0.25)]


def test_what_pytest_says_is_read() -> None:
    found = read(PYTEST)
    assert (found["passed"], found["failed"], found["skipped"]) == (3, 1, 1)
    assert found["longest"] == {"tests/gpu/test_a.py::test_long[bf16-2] (call)": 41.2} | {
        "tests/gpu/test_a.py::test_short (setup)": 3.01
    }
    assert found["failures"] == ["tests/gpu/test_a.py::test_bad"]


def test_rates_are_pairs_a_second_of_the_first_pass_and_of_the_middle_one_of_the_others() -> None:
    assert rates({"seconds": 2.0, "again_s": [1.0, 9.0, 0.5]}, num_steps=4, pairs_per_step=10) == {
        "cold": 20,
        "warm": 40,
    }


def test_every_target_is_compared_with_its_own_figure() -> None:
    forward = {tokens: {"cold_gemm_share": share} for tokens, share in (("4096", 0.4), ("32768", 0.7))}
    ratios = {"ratio_by_tokens": 3.5, "ratio_file_order": 7.0, "difference": 2e-3, "difference_transformers": 4e-3}
    speed = {"fp32": {"cold": 50, "warm": 100}, "bf16": {"cold": 180, "warm": 200}}
    peers = {"grouped bf16": {"warm": 100}, "padded bf16": {"warm": 50}, "files fp32": {"warm": 20}}
    found: dict[str, Any] = {
        "encoder": {"forward": forward, **ratios},
        "job": {"share_of_encoder": 0.8},
        "train": {"mhc": speed | peers, "took_s": 1.0},
    }
    assert list(targets(found).values()) == [
        *((0.7, 0.7), (0.4, 0.45), (3.5, 3.0), (7.0, 8.0), (2.0, 1.0), (0.8, 0.9)),
        *((3.6, 1.0), (2.0, 1.0), (0.5, 0.8), (0.9, 0.8), (2.0, 0.9), (4.0, 0.9), (10.0, 3.0)),
    ]
    assert targets({"train": {"failed": "why"}, "job": {}}) == {}


def test_batches_of_the_forward_pass_have_as_many_tokens_as_asked_for_and_shapes_of_their_own() -> None:
    batches = encoder.natural_batches(4096, 6)
    sizes = [sum(len(one) + 2 for one in batch) for batch in batches]
    assert 4 <= len(batches) <= 6
    assert all(2048 < size <= 4096 for size in sizes[:-1])
    assert len({tuple(map(len, batch)) for batch in batches}) == len(batches)


def test_the_code_of_another_checkout_runs_under_this_benchmark(tmp_path: Path) -> None:
    other, folder = tmp_path / "other", tmp_path / "folder"
    for name in ("snw_dist/config.py", "tests/kit/ranks.py", "tests/bench/common.py", "tests/bench/gpu.py"):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text(f"# the other's {name}")
    beside(other, folder)
    for name in ("snw_dist/config.py", "tests/kit/ranks.py", "tests/bench/common.py"):
        assert (folder / name).read_text() == f"# the other's {name}"
    assert not (folder / "tests/bench/gpu.py").exists()
    assert (folder / "tests/bench/gpu/encoder.py").samefile(encoder.__file__)


def test_the_encoders_part_runs(tmp_path: Path) -> None:
    found = encoder.measure(TINY, tmp_path)
    assert set(found["forward"]) == {"512", "1024"}
    assert all(one["cold_tokens_per_s"] > 0 for one in found["forward"].values())
    assert found["residues_per_s"] > 0
    assert sum(found["kernels"]["by_kind"].values()) == pytest.approx(1, abs=0.01)
    assert found["difference"] < 1e-5  # of the same arithmetic
    assert all(found[f"ratio_{way}"] > 0 for way in encoder.WAYS)
