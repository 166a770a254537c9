"""What the network was given: where there is nothing to see, a sentence says so."""

from __future__ import annotations

import dataclasses

from snw_dist.report.page import Figure, Says
from snw_dist.report.run.data import data_section
from snw_dist.report.run.files import RunFiles


def with_lengths(run: RunFiles, **sides: int) -> tuple[list[Figure], str]:
    """The figure of lengths, and all paragraphs, where each sequence of a side has so many residues."""
    alike = {side: dict.fromkeys(getattr(run.prepared, side), "A" * length) for side, length in sides.items()}
    blocks = data_section(dataclasses.replace(run, prepared=dataclasses.replace(run.prepared, **alike))).blocks
    figures = [block for block in blocks if isinstance(block, Figure) and block.name == "data_lengths"]
    return figures, " ".join(block.text for block in blocks if isinstance(block, Says))


def test_a_side_of_one_length_is_a_sentence_and_no_figure(run: RunFiles) -> None:
    [both], _ = with_lengths(run)
    assert [panel.title for panel in both.panels] == ["ligands", "receptors"]
    [one], _ = with_lengths(run, receptors=144)
    assert [panel.title for panel in one.panels] == ["ligands"]
    assert "All receptors have 144 residues." in one.says
    none, text = with_lengths(run, receptors=144, ligands=9)
    assert not none
    assert "All ligands have 9 residues. All receptors have 144 residues." in text
