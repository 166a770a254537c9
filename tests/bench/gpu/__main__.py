"""One CUDA device: ESM C, the embedding job, training, and the tests that need it.

    python -m tests.bench.gpu --json --only encoder --only train
    python -m tests.bench.gpu --json --against ../old-checkout

Each part prints a line of JSON when it has ended, with the part's name as its key, so that a run which is cut short
leaves figures; then a line says what is wanted of them (measured, at least wanted). Without `--only` it is all parts
but `tests`. `--against`: then every part is measured on the code of another checkout, the last one first, on the same
inputs and without the peers; its lines have the keys `PART, against`. A part that fails says why in its line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.bench.common import say
from tests.bench.gpu import encoder, job, on_cuda, train
from tests.bench.gpu.scale import FULL, TINY, Scale, forget
from tests.bench.gpu.targets import targets

PARTS: dict[str, Callable[[Scale, Path], dict[str, Any]]] = {
    "encoder": encoder.measure,
    "job": job.measure,
    "train": train.measure,
    "tests": on_cuda.measure,
}
HERE = Path(__file__).parent


def measured(part: str, scale: Scale, place: Path) -> dict[str, Any]:
    """The figures of a part, or why there are none; and how long it took. `place` keeps what it needs."""
    started = time.perf_counter()
    try:
        found = PARTS[part](scale, place)
    except Exception as error:  # noqa: BLE001 - the other parts are to be measured all the same
        say(traceback.format_exc())
        found = {"failed": f"{type(error).__name__}: {error}"[:500]}
    forget(scale.place)
    return {**found, "took_s": round(time.perf_counter() - started, 1)}


def show_other(checkout: Path, parts: Sequence[str], place: Path, chosen: argparse.Namespace) -> None:
    """The same of another checkout, without peers: its lines as they come."""
    with tempfile.TemporaryDirectory(prefix="snw-against-") as name:
        beside(checkout.resolve(), Path(name))
        command = [sys.executable, "-m", "tests.bench.gpu", "--json", "--no-peers", "--place", str(place)]
        command += [word for part in parts for word in ("--only", part)] + ["--tiny"] * chosen.tiny
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([name, os.environ.get("PYTHONPATH", "")])}
        with subprocess.Popen(command, cwd=name, env=env, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            for line in other.stdout:
                for part, found in json.loads(line).items() if line.startswith("{") else ():
                    if part in parts:
                        show(f"{part}, against", found, chosen.json)
        if other.returncode != 0:
            show("against", {"failed": f"exit code {other.returncode}"}, chosen.json)


def beside(checkout: Path, folder: Path) -> None:
    """Links in `folder` to all of another checkout, but with this benchmark."""
    bench = Path("tests/bench")
    (folder / bench).mkdir(parents=True)
    for inner, own in ((Path(), "tests"), (bench.parent, "bench"), (bench, "gpu")):
        for path in (checkout / inner).iterdir():
            if path.stem != own:
                (folder / inner / path.name).symlink_to(path)
    (folder / bench / "gpu").symlink_to(HERE)


def show(name: str, found: dict[str, Any], as_json: bool) -> None:
    """A line of JSON, or the same to read."""
    print(json.dumps({name: found}) if as_json else f"{name}\n{json.dumps(found, indent=2)}", flush=True)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="a line of JSON for each part and nothing else")
    options.add_argument("--only", action="append", choices=list(PARTS), help="this part; may be given again")
    options.add_argument("--against", type=Path, help="another checkout, measured too")
    options.add_argument("--no-peers", action="store_true", help="nothing but this project's own code")
    options.add_argument("--place", type=Path, help="a folder that keeps inputs and weights for the next time")
    options.add_argument("--tiny", action="store_true", help="on a processor, to see that it runs")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="snw-gpu-") as name:
        measure(chosen, Path(name) if chosen.place is None else chosen.place.absolute())


def measure(chosen: argparse.Namespace, place: Path) -> None:
    """The parts that were chosen, here and then on the other checkout."""
    place.mkdir(exist_ok=True)
    scale, results = TINY if chosen.tiny else FULL, dict[str, Any]()
    parts = chosen.only or [part for part in PARTS if part != "tests"]
    for part in parts:
        results[part] = measured(part, scale.alone() if chosen.no_peers else scale, place)
        show(part, results[part], chosen.json)
    show("targets", targets(results), chosen.json)
    if chosen.against is not None:
        show_other(chosen.against, [part for part in reversed(parts) if part != "tests"], place, chosen)


if __name__ == "__main__":
    main()
