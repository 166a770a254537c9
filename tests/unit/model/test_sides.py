"""Networks and losses that tell the two sides of a pair apart are refused where the sides mean nothing."""

from __future__ import annotations

import pytest

from hpc.errors import InputError
from snw_dist.config import ModelName
from snw_dist.model.sides import check_sides


@pytest.mark.parametrize("name", ["pseudo_siamese", "cross_attention", "pair_of_pairs", "triplet", "changeformer"])
def test_networks_that_tell_the_sides_apart_are_refused(name: ModelName) -> None:
    with pytest.raises(InputError, match="It does not with: siamese") as caught:
        check_sides(name, "auto", symmetric=True)
    assert caught.value.exit_code == 2
    check_sides(name, "auto", symmetric=False)


def test_losses_by_side_are_refused() -> None:
    for loss in ("info_nce", "triplet"):
        with pytest.raises(InputError, match=r"Set train[.]loss to auto"):
            check_sides("siamese", loss, symmetric=True)  # type: ignore[arg-type]
    check_sides("siamese", "rank", symmetric=True)
