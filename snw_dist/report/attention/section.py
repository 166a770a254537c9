"""Attention maps of chosen pairs of a run, as a section of its report."""

from __future__ import annotations

from collections.abc import Iterator

from hpc.errors import SnwError
from hpc.ranks.process_group import choose_device
from snw_dist.evaluate.run import Opened, opened
from snw_dist.report.attention.maps import WITH_ATTENTION, Attention, attention_of
from snw_dist.report.attention.pairs import Chosen, chosen_pairs
from snw_dist.report.marks import Axis, Grid, Panel
from snw_dist.report.page import Block, Figure, Says, Section
from snw_dist.report.run.files import RunFiles


def attention_section(run: RunFiles) -> Section | None:
    """The section; None for a network whose ligands do not attend to receptors."""
    if run.metrics["provenance"]["network"] not in WITH_ATTENTION:
        return None
    try:
        blocks = list(_blocks(run))
    except SnwError as error:  # the store may be gone by now; the rest of a report does not need it
        blocks = [Says(f"There are no attention maps: {error}", "warning")]
    return Section("attention", "Attention", blocks)


def _blocks(run: RunFiles) -> Iterator[Block]:
    pairs = chosen_pairs(run.predictions)
    if not pairs:
        yield Says("There are no attention maps: no split is held out from training and validation.", "warning")
        return
    yield Says(
        f"Where each ligand residue looks in its receptor, for the clearest pairs of {pairs[0].split}: of those that "
        "bind the ones with the highest and the lowest score, and of those that do not bind likewise. **Attention is "
        "no explanation**: it says where the network looked, not what made the score. Other weights may give the same."
    )
    network, device = opened(run.settings, run.prepared), choose_device(run.settings.train.device, 0)
    for pair in pairs:
        yield _figure(pair, attention_of(network, _row(network, pair), device))


def _row(network: Opened, pair: Chosen) -> int:
    table = network.data.prepared.pairs
    same = (table["ligand_id"] == pair.ligand_id) & (table["receptor_id"] == pair.receptor_id)
    return int(same.to_numpy().argmax())


def _figure(pair: Chosen, whole: Attention) -> Figure:
    drawn = whole.drawn()
    share = drawn.weights.sum() / len(drawn.ligand)
    parts = [f"the {len(drawn.receptor)} of {len(whole.receptor)} receptor residues that get most ({share:.0%} of all)"]
    if len(drawn.ligand) < len(whole.ligand):
        parts.append(f"the {len(drawn.ligand)} of {len(whole.ligand)} ligand residues that look most sharply")
    says = (
        f"{pair.why} of {pair.split}: label {pair.label:.3g}, score {pair.score:.3f}. Shown are {' and '.join(parts)}, "
        f"in the order of the sequence. Looking everywhere alike would be {1 / len(whole.receptor):.3g} in each cell: "
        "where all are about that, the network looks nowhere in particular. Mean over the heads of the last block."
    )
    grid = Grid("attention", drawn.weights, low=0.0, high=float(drawn.weights.max()))
    axes = Axis("receptor residue", names=drawn.receptor), Axis("ligand residue", names=drawn.ligand)
    panel = Panel((grid,), *axes, height=140 + 20 * len(drawn.ligand), wide=True)
    title = f"{pair.name.replace('_', ' ').capitalize()}: {pair.ligand_id} with {pair.receptor_id}"
    return Figure(f"attention_{pair.name}", title, says, [panel])
