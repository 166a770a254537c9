"""`snw-dist inspect`: the picture of a run and the table of its layers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hpc.errors import InputError
from snw_dist.config import config_from_dict
from snw_dist.inspect.run_picture import run_svg
from snw_dist.inspect.write import write_all, write_run
from snw_dist.model.build import count_parameters


def test_the_network_of_a_run_before_it_has_a_store(tmp_path: Path) -> None:
    config = config_from_dict(
        {
            "run": {"folder": str(tmp_path)},
            "model": {"name": "cross_attention", "size": "light"},
            "encoder": {"name": "esmc", "weights": "/home/someone/esmc_300m.pth"},
        }
    )
    before = torch.get_rng_state()
    blocks, layers = write_run(config, tmp_path / "new" / "network.svg", 40, (9, 30))
    svg = (tmp_path / "new" / "network.svg").read_text()
    assert "esmc_300m.pth" in svg
    assert "someone" not in svg  # a picture is handed on
    assert "a ligand of 9 residues and a receptor of 30" in svg
    count = f"{count_parameters(config.model, 40):,}"
    assert f"Total params: {count}\n" in layers
    assert "CrossAttentionBlock" in layers
    assert f"{count} parameters" in svg
    cells = [list(column.cells) for column in blocks.columns]
    assert cells[0] == [*("Projection", "Projection", "Keys and values", "Cross attention"), *cells[0][4:]]
    assert cells[3][-1] == count
    for numbers in cells[3:]:
        *parts, whole = (int(str(number).replace(",", "")) for number in numbers)
        assert whole == sum(parts)
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(InputError, match="there is no embedding store"):
        run_svg(config)
    with pytest.raises(InputError, match=r"Make it with: snw-dist embed\. Or say how many .*: --width 960$"):
        write_run(config, tmp_path / "network.svg", None, (9, 30))


def test_a_size_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--size: model\.size"):
        write_all(tmp_path, "huge", None, (9, 30))
    assert not list(tmp_path.iterdir())
