"""The report of a run: its sections in their order, and the answer at the top."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hpc.told import long_work
from snw_dist.config import SnwConfig
from snw_dist.report.attention.section import attention_section
from snw_dist.report.map.section import map_section
from snw_dist.report.multiqc import multiqc_files
from snw_dist.report.page import Page, Says, Section
from snw_dist.report.run.answer import advice, answer, asked_of, first_facts, warnings
from snw_dist.report.run.data import data_section
from snw_dist.report.run.files import RunFiles, read_run
from snw_dist.report.run.learning import learning_section
from snw_dist.report.run.network import network_section
from snw_dist.report.run.provenance import provenance_section
from snw_dist.report.run.quality import quality_section
from snw_dist.report.run.words import tested_splits
from snw_dist.report.write import write_report

REPORT = "report.html"


def report_run(settings: SnwConfig, to: Path | None = None, umap: bool = False) -> Path:
    """Write the report of an evaluated run: `report.html` in its folder, or `to`; returns its path.

    umap: there are maps by UMAP, too; raises `ModuleNotFoundError` where that is not installed.
    Raises `InputError` where the run has no evaluation or no data, and `CorruptError` where what is there is damaged.
    """
    with long_work("drawing the report"):
        run = read_run(settings)
        return write_report(run_page(run, umap), to or settings.run_folder / REPORT, multiqc_files(run))


def run_page(run: RunFiles, umap: bool = False) -> Page:
    """The page of a run, not drawn yet."""
    provenance = run.metrics["provenance"]
    sentence, tone = answer(run.metrics)
    about = [
        ("network", provenance["network"]),
        ("encoder", provenance["encoder"]),
        ("step", f"{provenance['step']:,}"),
    ]
    return Page(
        f"Report of run {provenance['run']}",
        sentence,
        tone,
        [(name, str(value)) for name, value in about],
        warnings(run.metrics),
        list(_sections(run, umap)),
    )


def _sections(run: RunFiles, umap: bool) -> Iterator[Section]:
    yield summary_section(run)
    yield quality_section(run)
    yield data_section(run)
    yield learning_section(run)
    network = network_section(run)
    if network is not None:
        yield network
    yield map_section(run, umap)
    attention = attention_section(run)
    if attention is not None:
        yield attention
    yield provenance_section(run)


def summary_section(run: RunFiles) -> Section:
    """The figures that are read first, and the words that are needed for them."""
    asked = asked_of(tested_splits(run.metrics), run.prepared.summary["splits"])
    return Section(
        "summary",
        "In short",
        [
            first_facts(run.metrics),
            Says(" ".join(["New is what train does not have.", *asked])),
            Says(advice(run.metrics)),
            Says(
                "**AUROC** is the chance that a pair that binds gets a higher score than one that does not: 1 is "
                "perfect, 0.5 is guessing. A **held-out** split is a part of the pairs that the network has not "
                "learned from. A **control** is a simple method measured on the same pairs: a network must beat it "
                "to be worth anything. A **95 % interval** says how far a figure could be off by chance."
            ),
        ],
    )
