"""The one-machine Slurm of slurm/devcluster: it starts, repairs itself, preempts, leaves nothing behind."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slurm

SCRIPT = Path(__file__).parents[2] / "slurm" / "devcluster"


class Cluster:
    """A devcluster in a folder and on ports of its own, beside any other."""

    def __init__(self) -> None:
        # Not under tmp_path: the users munge and mysql cannot enter pytest's private folder.
        self.dir = Path(f"/var/tmp/snw-devcluster-test-{os.getpid()}")
        self.port = 20000 + os.getpid() % 200 * 50
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SNW_DEVCLUSTER"))}
        self.env |= {
            "SNW_DEVCLUSTER_DIR": str(self.dir),
            "SNW_DEVCLUSTER_PORT": str(self.port),
            "SNW_DEVCLUSTER_GRACE": "0",
            "SNW_DEVCLUSTER_KILLWAIT": "2",
            "SNW_DEVCLUSTER_REQUEUE": "5",
        }

    def devcluster(self, *args: str, code: int = 0, **env: str) -> str:
        """Run the script, check its exit code, and return all it printed."""
        done = subprocess.run(
            [SCRIPT, *args],
            env=self.env | env,
            text=True,
            timeout=200,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == code, f"devcluster {args} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def slurm(self, *command: str) -> str:
        """Run one of Slurm's own commands on this cluster and return its output."""
        done = subprocess.run(
            command,
            env=self.env | {"SLURM_CONF": str(self.dir / "slurm.conf")},
            cwd="/tmp",
            text=True,
            timeout=60,
            capture_output=True,
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def sbatch(self, *args: str) -> str:
        return self.slurm("sbatch", "--parsable", *args).strip()

    def state(self, job: str) -> str:
        return self.slurm("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").strip()

    def pid(self, daemon: str) -> int:
        return int((self.dir / "run" / f"{daemon}.pid").read_text())

    def kill(self, *daemons: str) -> None:
        for daemon in daemons:
            os.kill(self.pid(daemon), signal.SIGKILL)

    def processes(self) -> list[str]:
        """The command lines of all processes that name its folder, there or in their environment."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line, environ = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
            except OSError:  # it ended just now
                continue
            if os.fsencode(self.dir) in line + environ:
                found.append(line.replace(b"\0", b" ").decode(errors="replace"))
        return found


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.devcluster("down")


def wait_until(true: Callable[[], bool], what: str, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def test_life_of_a_cluster(cluster: Cluster) -> None:
    # Up, and up again.
    first = cluster.devcluster("up", "2")
    line = f"export SLURM_CONF={cluster.dir}/slurm.conf"
    assert line in first
    assert cluster.devcluster("env").strip() == line
    assert "already up" in cluster.devcluster("up")
    assert "already up" in cluster.devcluster("up", "2")
    assert "run 'devcluster down' first" in cluster.devcluster("up", "3", code=2)
    assert cluster.slurm("sinfo", "-hN", "-p", "normal", "-o", "%N %T").split("\n")[:2] == [
        "n1 idle",
        "n2 idle",
    ]
    assert cluster.slurm("sinfo", "-h", "-o", "%P").split() == ["normal*", "urgent"]

    # A job over both nodes, with MPI's start-up, and its record.
    where = cluster.slurm("srun", "-N2", "--mpi=pmi2", "bash", "-c", "echo $SLURMD_NODENAME")
    assert sorted(where.split()) == ["n1", "n2"]
    wait_until(
        lambda: "1|COMPLETED|2" in cluster.slurm("sacct", "-XnPj1", "-o", "JobID,State,NNodes"),
        "job 1 is in sacct as completed",
    )

    # An urgent job preempts a normal one, which is requeued and starts once more.
    output = cluster.dir / "job.out"
    normal = cluster.sbatch(
        "-N2", "--exclusive", "--open-mode=append", f"--output={output}",
        "--wrap", "echo run ${SLURM_RESTART_COUNT:-0}; sleep 600",
    )  # fmt: skip
    wait_until(lambda: output.exists() and output.read_text() == "run 0\n", "the normal job runs")
    urgent = cluster.sbatch("-p", "urgent", "-N2", "--exclusive", "--output=/dev/null", "--wrap", "sleep 1")
    wait_until(lambda: cluster.state(urgent) == "COMPLETED", "the urgent job ran")
    wait_until(lambda: output.read_text().endswith("run 1\n"), "the normal job runs again")
    assert "PREEMPTED" in cluster.slurm("sacct", "-XnPDj", normal, "-o", "State")

    # Repairs, under a running job; the last one under another host name. A controller that is killed knows
    # what it last wrote down, which it does a few seconds after each change.
    started = time.time()
    saved = cluster.dir / "state" / "job_state"
    wait_until(lambda: saved.stat().st_mtime > started, "the controller has saved its state")
    for killed in (["slurmctld"], ["mariadbd", "munged"], ["slurmd-n1", "slurmdbd", "slurmctld"]):
        cluster.kill(*killed)
        assert "is not healthy" in cluster.devcluster("status", code=1)
        assert f"(started: {' '.join(sorted(killed))})" in cluster.devcluster("up")
        assert cluster.state(normal) == "RUNNING"
    cluster.kill("slurmctld", "slurmd-n2")
    step = f"SLURM_CONF={cluster.dir}/slurm.conf srun -n2 --overlap --jobid={normal} true"
    command = f"hostname another && {SCRIPT} up && {step}"
    subprocess.run(["unshare", "--uts", "bash", "-c", command], env=cluster.env, check=True, timeout=200)
    assert "n[1-2]" in cluster.devcluster("status")
    assert cluster.state(normal) == "RUNNING"

    # Down, with jobs running: one that ignores SIGTERM, and one with a process in a session of its own.
    cluster.slurm("scancel", normal)
    cluster.sbatch("-N1", "--output=/dev/null", "--wrap", "trap '' TERM; srun sleep 601; sleep 602")
    escaped = cluster.sbatch("-N1", "--output=/dev/null", "--wrap", "setsid sleep 603 & wait")
    wait_until(lambda: cluster.state(escaped) == "RUNNING", "the second job runs")
    wait_until(lambda: any("sleep 603" in line for line in cluster.processes()), "its process runs")
    assert "is down" in cluster.devcluster("down")
    assert cluster.processes() == []
    assert not cluster.dir.exists()
    assert "No cluster is up" in cluster.devcluster("down")


def test_up_twice_at_once_and_half_made(cluster: Cluster) -> None:
    # A start that is killed at some point is completed by the next ones, of which one waits for the other.
    for seconds in (0.05, 0.4, 1.0, 1.6):
        start = subprocess.Popen([SCRIPT, "up", "1"], env=cluster.env, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        start.kill()
        start.wait()
    both = [subprocess.Popen([SCRIPT, "up", "1"], env=cluster.env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=200)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert any("already up" in text for text in said), said
    assert cluster.slurm("srun", "hostname").strip()

    # A start that is killed and never completed is taken down.
    cluster.kill("slurmdbd", "slurmd-n1")
    cluster.devcluster("down")
    assert cluster.processes() == []
    assert not cluster.dir.exists()


def test_clear_messages(cluster: Cluster) -> None:
    assert "devcluster up [N]" in cluster.devcluster("help")
    assert "unknown command" in cluster.devcluster("upp", code=2)
    assert "no cluster is up" in cluster.devcluster("status", code=1)
    assert "no cluster is up" in cluster.devcluster("env", code=1)
    assert "No cluster is up" in cluster.devcluster("down")
    for wrong in ("0", "-1", "65", "two", "1 1", "99999999999999999999"):
        assert "number of nodes" in cluster.devcluster("up", wrong, code=2)
    for wrong in (
        "relative",
        "/",
        "/tmp",
        "/var/tmp/..",
        "/var/tmp/a b",
        "/var/tmp/.",
        "/var/tmp/" + "long" * 20,
    ):
        assert "SNW_DEVCLUSTER_DIR" in cluster.devcluster("up", code=2, SNW_DEVCLUSTER_DIR=wrong)
        assert "SNW_DEVCLUSTER_DIR" in cluster.devcluster("down", code=2, SNW_DEVCLUSTER_DIR=wrong)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """The path of a socket may not be long, and pytest's folders are."""
    with tempfile.TemporaryDirectory(prefix="snw-", dir="/var/tmp") as folder:
        yield Path(folder)


def test_never_touches_what_is_not_its_own(cluster: Cluster, short_folder: Path) -> None:
    # A folder with someone's files.
    (short_folder / "mine").write_text("mine")
    assert "not a devcluster's" in cluster.devcluster("down", code=2, SNW_DEVCLUSTER_DIR=str(short_folder))
    assert (short_folder / "mine").read_text() == "mine"

    # A port that is taken, and a process that only names the folder.
    with (
        socket.create_server(("127.0.0.1", cluster.port + 1)),
        subprocess.Popen(["tail", "-F", "-q", f"{cluster.dir}/log/x"], stderr=subprocess.DEVNULL) as bystander,
    ):
        said = cluster.devcluster("up", code=4)
        assert f"port {cluster.port + 1}, for slurmdbd, is taken" in said
        cluster.devcluster("down")
        assert bystander.poll() is None
        bystander.kill()
