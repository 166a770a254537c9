import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc.disk.strict import legal_keys, validated
from hpc.errors import InputError
from hpc.job.profile import SiteProfile, load_profile
from tests.kit.hostile import bounded, mutated
from tests.kit.hostile_text import changed

PROFILES = Path(__file__).parents[4] / "slurm" / "profiles"


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.json")), ids=lambda path: path.stem)
def test_every_profile_of_the_project_is_legal(path):
    profile = load_profile(path.stem, PROFILES)
    assert profile.description
    assert load_profile(str(path), Path("/nowhere")) == profile


def test_no_profile_is_all_defaults():
    assert load_profile(None, PROFILES) == SiteProfile()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"gpus": 1}, ["unknown key 'gpus'", "gpus_per_node", "signal_delay_s"]),
        (
            {"environment": [{"name": "A", "value": "1", "why": "x"}]},
            ["environment.0.why", "name, value, reason"],
        ),
        ({"environment": [{"name": "A", "value": "1"}]}, ["environment.0.reason", "required"]),
        ({"environment": [{"name": "A", "value": "1", "reason": "  "}]}, ["say why"]),
        ({"environment": [{"name": "A;b", "value": "1", "reason": "x"}]}, ["environment.0.name"]),
        ({"environment": [{"name": "A", "value": "1", "reason": "x"}] * 2}, ["more than once: A"]),
        ({"partition": "a\ntouch pwned #"}, ["partition", "newlines"]),
        ({"account": "a\x1b[0m"}, ["account", "control characters"]),
        ({"setup": ["module load x", "a\rb"]}, ["setup.1", "control characters"]),
        ({"srun_args": ["--x\n"]}, ["srun_args.0"]),
        ({"environment": [{"name": "A", "value": "1", "reason": "x\nrm -rf y"}]}, ["environment.0.reason"]),
        ({"additional_parameters": {"gres": "a\nb"}}, ["additional_parameters.gres", "newlines"]),
        ({"additional_parameters": {"a\nb": "c"}}, ["additional_parameters"]),
        ({"additional_parameters": {"open_mode": "truncate"}}, ["'open_mode' is set by the launcher itself"]),
        ({"mpi": "openmpi"}, ["mpi", "none"]),
        ({"cpus_per_task": 0}, ["cpus_per_task"]),
    ],
)
def test_wrong_profiles_are_refused_by_key(tmp_path, values, words):
    path = tmp_path / "site.json"
    path.write_text(json.dumps(values))
    with pytest.raises(InputError) as caught:
        load_profile("site", tmp_path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_missing_and_broken_files_are_named(tmp_path):
    (tmp_path / "here.json").write_text('{\n"cpus_per_task": }')
    with pytest.raises(InputError, match=r"here\.json:2: not valid JSON"):
        load_profile("here", tmp_path)
    with pytest.raises(InputError, match=r"no such profile.*: here\."):
        load_profile("there", tmp_path)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InputError, match="must be an object"):
        load_profile("list", tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        load_profile("bytes", tmp_path)


def test_legal_keys_below_lists_and_mappings():
    assert legal_keys(SiteProfile, ("environment", 0)) == "name, value, reason"
    assert legal_keys(SiteProfile, ("additional_parameters", "gres")) == "none"


def test_flags_stay_flags():
    profile = validated(SiteProfile, {"additional_parameters": {"exclusive": True, "nice": 10}}, "test")
    assert profile.additional_parameters == {"exclusive": True, "nice": 10}
    assert profile.additional_parameters["exclusive"] is True


def test_what_is_no_file_and_what_is_there_twice(tmp_path):
    (tmp_path / "twice.json").write_text('{"partition": "a",\n"qos": "b",\n"partition": "c"}')
    with pytest.raises(InputError, match=r"twice\.json:3: the key 'partition' comes twice \(lines 1 and 3\)"):
        load_profile("twice", tmp_path)
    (tmp_path / "deep.json").write_text('{"setup": ' + "[" * 100_000)
    with pytest.raises(InputError, match=r"deep\.json: nested too deeply"):
        load_profile("deep", tmp_path)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match=r"pipe\.json: not a regular file"):
        load_profile("pipe", tmp_path)


@pytest.mark.parametrize("key", ["gpus_per_node", "cpus_per_task", "mem_gb_per_node", "time_min", "signal_delay_s"])
@pytest.mark.parametrize("value", [2**63, -1, 10**30])
def test_no_number_is_without_a_limit(key, value):
    with pytest.raises(InputError, match=f"{key}: Input should be"):
        validated(SiteProfile, {key: value}, "profile")


EXAMPLE = (PROFILES / "cpu_example.json").read_bytes()


@bounded(150)
@given(
    content=st.binary(max_size=100)
    | mutated(json.loads(EXAMPLE)).map(lambda value: json.dumps(value).encode())
    | changed(EXAMPLE)
)
def test_any_profile(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    try:
        load_profile(str(path), PROFILES)
    except InputError as error:
        lines = str(error).splitlines()
        assert all(line.startswith(f"{path}:") for line in lines), lines
        assert max(map(len, lines)) < 3_000
