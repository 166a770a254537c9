"""The audit on a set with planted defects: it finds each of them, all of them together, and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from snw_dist.config import SnwConfig
from snw_dist.data.audit.findings import EFFECTS, Finding
from snw_dist.data.audit.run import audit, write_findings
from snw_dist.data.prepare import check_inputs
from snw_dist.data.splits.split import APART
from tests.kit.data_inputs import Inputs
from tests.kit.planted import (
    BY_IDENTITY,
    PLANTS,
    Set,
    clean,
    contradictions,
    degree_bias,
    duplicates,
    leak_of_a_ligand,
    leak_of_relatives,
)
from tests.kit.split_tools import random_sequences

REPOSITORY = Path(__file__).resolve().parents[4]


def _findings(config: SnwConfig) -> list[Finding]:
    return audit(check_inputs(config, stop_at_rejects=False), APART[config.data.split.method])


def _found(config: SnwConfig) -> set[tuple[str, str, int]]:
    return {(finding.kind, finding.where, finding.count) for finding in _findings(config)}


@pytest.mark.mmseqs
def test_a_clean_set_has_no_finding(inputs: Inputs) -> None:
    assert _found(clean().config(inputs, clusters="mmseqs2")) == set()


@pytest.mark.parametrize(
    "plant", [plant for plant in PLANTS if plant is not leak_of_relatives], ids=lambda plant: plant.__name__
)
def test_each_defect_is_found_and_nothing_else(inputs: Inputs, plant: Callable[[Set], None]) -> None:
    made = clean()
    plant(made)
    assert _found(made.config(inputs)) == PLANTS[plant]


@pytest.mark.mmseqs
def test_relatives_are_found_and_nothing_else(inputs: Inputs) -> None:
    made = clean()
    leak_of_relatives(made)
    assert _found(made.config(inputs, clusters="mmseqs2")) == PLANTS[leak_of_relatives]


@pytest.mark.mmseqs
def test_all_defects_together_are_found_and_nothing_else(inputs: Inputs) -> None:
    made = clean()
    for plant in PLANTS:
        plant(made)
    wanted = {(kind, where) for planted in PLANTS.values() for kind, where, _ in planted}
    assert {(kind, where) for kind, where, _ in _found(made.config(inputs, clusters="mmseqs2"))} == wanted


def dealt(turned: bool) -> Set:
    """60 receptors with two positive pairs and two negative ones, of which one of either kind is in test.

    `turned`: what train has of a receptor is what test lacks, as where negatives are dealt before the pairs are split.
    """
    made, ligands = Set(), random_sequences(4 * 60 + 4, 12, 0)
    for i, sequence in enumerate(random_sequences(60, 90, 2)):
        made.receptors[f"r{i}"] = sequence
        common = float(i % 2)
        for k, label in enumerate([common, common, 1 - common, 1 - common if turned else common]):
            made.ligands[f"l{i}_{k}"] = ligands[4 * i + k]
            made.add(f"l{i}_{k}", f"r{i}", label, "test" if k == 3 else "train")
    for k in range(4):
        made.ligands[f"val{k}"] = ligands[-1 - k]
        made.add(f"val{k}", f"r{k}", k // 2, "val")
    return made


def test_degrees_that_tell_the_opposite_are_as_good_a_shortcut(inputs: Inputs) -> None:
    """What a receptor has in train tells its test pair, without fail."""
    found = {
        finding.where: finding
        for finding in _findings(dealt(turned=True).config(inputs))
        if finding.kind == "degree_bias"
    }
    assert set(found) == {"receptors of test against train"}
    told = found["receptors of test against train"]
    assert (told.count, told.total) == (60, 60)
    assert told.examples[0] == "r0 (1 of 3 positive in train, 1 of 1 here)"
    assert "AUROC of one side 1.00, turned round" in told.effect
    straight = [
        finding.where for finding in _findings(dealt(turned=False).config(inputs)) if finding.kind == "degree_bias"
    ]
    assert "receptors of test against train" not in straight


def test_a_length_that_tells_the_label_is_told_as_length_and_as_degree(inputs: Inputs) -> None:
    made = clean()
    degree_bias(made)
    for name in list(made.ligands):
        if name.startswith("train_l") and int(name[7:]) % 2 == 0:
            made.ligands[name] += random_sequences(1, 8, int(name[7:]) + 100)[0]
    kinds = {(finding.kind, finding.where) for finding in _findings(made.config(inputs))}
    assert ("length_shift", "ligands of positive against negative pairs") in kinds
    assert ("degree_bias", "ligands") in kinds
    assert not {kind for kind, where in kinds if "receptors" in where}


def test_a_made_split_is_only_held_to_what_it_promises(inputs: Inputs) -> None:
    config = clean().config(inputs)
    for method in ("random", "ligand_cold", "both_cold"):
        made = inputs(
            *(Path(path).read_text() for path in (config.data.ligands, config.data.receptors, config.data.pairs)),
            split=BY_IDENTITY | {"method": method},
        )
        assert not [finding for finding in _findings(made) if finding.kind.endswith("_overlap")]


def test_what_a_finding_says(inputs: Inputs) -> None:
    made = clean()
    contradictions(made)
    leak_of_a_ligand(made)
    contradiction, overlap = _findings(made.config(inputs))
    assert contradiction.examples == ["train_l2/train_r6 (line 22)", "train_l2/train_r6 (line 962)"]
    assert (contradiction.count, contradiction.total) == (2, len(made.rows))
    assert (overlap.count, overlap.total, overlap.examples) == (1, 31, ["train_l11"])
    for finding in (contradiction, overlap):
        assert finding.effect == EFFECTS[finding.kind]


def test_what_is_written_is_the_same_every_time(inputs: Inputs, tmp_path: Path) -> None:
    made = clean()
    duplicates(made)
    paths = [write_findings(_findings(made.config(inputs)), tmp_path / name) for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    report = json.loads(paths[0].read_text())
    assert [finding["kind"] for finding in report["findings"]] == ["duplicate_pairs"]
    assert report["looked_for"] == list(EFFECTS)


def _command(config: SnwConfig, *options: str) -> subprocess.CompletedProcess[str]:
    folder = Path(config.run.folder).parent
    (folder / "SNW_config.json").write_text(json.dumps({"data": {"split": BY_IDENTITY}}))
    command = [sys.executable, str(REPOSITORY / "launch" / "prepare.py"), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_shows_a_table_and_strict_ends_with_2(inputs: Inputs) -> None:
    made = clean()
    duplicates(made)
    config = made.config(inputs)
    result = _command(config, "--audit")
    assert (result.returncode, result.stderr) == (0, "")
    assert "duplicate_pairs" in result.stdout
    assert "3 of 963" in result.stdout
    assert (config.data_folder / "pairs.parquet").is_file()

    result = _command(config, "--strict", "--run", "other")
    assert result.returncode == 2
    assert result.stderr == "error: the audit found something, and --strict allows nothing. No data were written.\n"
    assert [path.name for path in (config.run_folder.parent / "other").iterdir()] == ["audit.json"]


def test_bad_records_are_audited_before_they_stop_it(inputs: Inputs) -> None:
    made = clean()
    contradictions(made)
    config = made.config(inputs)
    result = _command(config, "--audit")
    assert result.returncode == 2
    assert "contradictory_labels" in result.stdout
    assert "contradictory pair: label" in result.stderr
    assert [path.name for path in config.run_folder.iterdir()] == ["audit.json"]


def test_a_clean_set_passes_strict(inputs: Inputs) -> None:
    result = _command(clean().config(inputs), "--strict")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Audit: nothing found" in result.stdout
