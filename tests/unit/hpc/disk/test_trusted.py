"""Who can change what is read; with a real second user where the tests run as root."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc.disk import trusted
from hpc.disk.reading import BadFileError
from hpc.disk.trusted import check_folder, close_to_others, private_folder, read_trusted, weak_spot
from hpc.errors import EnvironmentProblem, ExitCode
from tests.kit.strangers import IS_ROOT, NOBODY, place_for_both, run_stranger, start_stranger


@pytest.fixture
def meeting_place() -> Iterator[Path]:
    with place_for_both() as folder:
        yield folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "file").write_text("ours")
    return folder / "file"


def test_a_file_of_ours_is_read(file: Path) -> None:
    assert read_trusted(file) == b"ours"
    check_folder(file.parent)
    check_folder(file.parent / "not" / "yet")
    with pytest.raises(FileNotFoundError):
        read_trusted(file.parent / "missing")
    with pytest.raises(FileNotFoundError):
        read_trusted(file.parent / "missing" / "file")


@pytest.mark.parametrize(
    ("mode", "who", "command"),
    [
        (0o775, "its group", "chmod g-w"),
        (0o757, "everybody", "chmod o-w"),
        (0o777, "its group and everybody", "chmod go-w"),
        (0o2775, "its group", "chmod g-w"),
    ],
)
@pytest.mark.parametrize("place", ["the folder", "one above it", "the file"])
def test_what_others_can_write_to_is_refused_with_the_way_to_close_it(
    file: Path, mode: int, who: str, command: str, place: str
) -> None:
    path = {"the folder": file.parent, "one above it": file.parent.parent, "the file": file}[place]
    path.chmod(mode)
    with pytest.raises(EnvironmentProblem) as raised:
        read_trusted(file)
    assert raised.value.exit_code == ExitCode.ENVIRONMENT
    assert str(raised.value).startswith(f"{path}: {who} can write to it")
    assert f"{command} {path}" in str(raised.value)
    assert "\n" not in str(raised.value)
    os.system(str(raised.value).partition("Close it: ")[2].partition(" (")[0])  # as it was told
    assert read_trusted(file) == b"ours"


def test_others_may_read(file: Path) -> None:
    for path in (file, file.parent, file.parent.parent):
        path.chmod(0o755)
    assert read_trusted(file) == b"ours"


def test_a_sticky_folder_above_keeps_others_from_what_is_not_theirs(file: Path) -> None:
    file.parent.parent.chmod(0o1777)
    assert read_trusted(file) == b"ours"
    file.parent.chmod(0o1777)  # in the folder itself they could add files of their own
    with pytest.raises(EnvironmentProblem, match="everybody can write to it"):
        check_folder(file.parent)


def test_links_are_followed_where_only_we_could_have_made_them(file: Path, tmp_path: Path) -> None:
    (tmp_path / "absolute").symlink_to(file.parent)
    (tmp_path / "relative").symlink_to("a/../a/b")
    assert read_trusted(tmp_path / "absolute" / "file") == b"ours"
    assert read_trusted(tmp_path / "relative" / "file") == b"ours"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(EnvironmentProblem, match="too many symbolic links"):
        check_folder(tmp_path / "loop")
    (file.parent / "link").symlink_to(file)
    with pytest.raises(OSError, match="symbolic link"):
        read_trusted(file.parent / "link")
    file.parent.parent.chmod(0o777)  # where the links lead is open
    for name in ("absolute", "relative"):
        with pytest.raises(EnvironmentProblem, match="chmod go-w"):
            read_trusted(tmp_path / name / "file")


@pytest.mark.parametrize("kind", ["pipe", "folder", "large"])
def test_no_other_kind_of_file_is_read(file: Path, kind: str) -> None:
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.write_bytes(bytes(100))
    with pytest.raises(BadFileError):
        read_trusted(file, most_bytes=99)


def test_what_belongs_to_another_user_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if IS_ROOT:
        os.chown(file.parent, NOBODY, NOBODY)
    else:
        monkeypatch.setattr(trusted, "_trusted_users", lambda: {0, os.getuid() + 1})
    with pytest.raises(EnvironmentProblem, match="belongs to another user"):
        read_trusted(file)


def test_an_exchanged_folder_is_never_read(meeting_place: Path) -> None:
    """The attack that was seen: whoever may write to the run folder puts another in the place of ours, again and again.

    The stranger works on a copy that is his from the start, so that there is always something to be read.
    """
    run = meeting_place / "run"
    for folder, text in ((run / "job", "ours"), (run / "theirs", "theirs")):
        folder.mkdir(parents=True)
        (folder / "request.json").write_text(text)
    if IS_ROOT:
        os.chown(run / "theirs", NOBODY, NOBODY)
    run.chmod(0o777)
    exchange = """
        run = pathlib.Path(sys.argv[1])
        end = time.time() + 2
        while time.time() < end:
            (run / "job").rename(run / "away"); (run / "theirs").rename(run / "job")
            (run / "job").rename(run / "theirs"); (run / "away").rename(run / "job")
        print("exchanged")
    """
    stranger = start_stranger(exchange, run)
    seen = set()
    while stranger.poll() is None:
        try:
            seen.add(read_trusted(run / "job" / "request.json"))
        except (EnvironmentProblem, FileNotFoundError) as error:
            seen.add(type(error).__name__.encode())
    assert stranger.communicate()[0].strip() == "exchanged"
    assert b"EnvironmentProblem" in seen
    assert not seen & {b"ours", b"theirs"}, "nothing is read from where he can exchange it"
    run.chmod(0o755)
    assert read_trusted(run / "job" / "request.json") == b"ours"
    assert "PermissionError" in run_stranger(exchange, run) or not IS_ROOT


def test_a_folder_exchanged_after_it_was_asked_is_not_what_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the question and the opening: the walk holds on to what it has asked."""
    opened = os.open
    other = file.parent.with_name("other")
    other.mkdir()
    (other / "file").write_text("theirs")

    def exchanging(name: str, flags: int, *rest: int, **places: int) -> int:
        if name == "file":
            file.parent.rename(file.parent.with_name("away"))
            other.rename(file.parent)
        return opened(name, flags, *rest, **places)

    monkeypatch.setattr(os, "open", exchanging)
    assert read_trusted(file) == b"ours"


def test_a_umask_that_opens_all_to_the_group_is_closed(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        (tmp_path / "open").mkdir()
        close_to_others()
        (tmp_path / "closed").mkdir()
        os.umask(0o077)
        close_to_others()
        (tmp_path / "private").mkdir()
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("open", "closed", "private")]
    assert modes == [0o775, 0o755, 0o700]


def test_private_folders(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    assert private_folder(tmp_path / "open").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "open")
    with pytest.raises(EnvironmentProblem, match="belongs to somebody else"):
        private_folder(tmp_path / "link")


def test_code_may_be_another_users_but_better_not_open(file: Path) -> None:
    assert weak_spot(file.parent) is None
    if IS_ROOT:
        os.chown(file.parent, NOBODY, NOBODY)
        assert weak_spot(file.parent) is None
    assert weak_spot(file.parent / "missing") is None
    file.parent.chmod(0o775)
    assert "chmod g-w" in str(weak_spot(file.parent))


def test_many_readers_leave_no_descriptor_open(file: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    threads = [threading.Thread(target=read_trusted, args=(file,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.parent.chmod(0o777)
    with pytest.raises(EnvironmentProblem):
        read_trusted(file)
    time.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
