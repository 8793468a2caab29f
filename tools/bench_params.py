"""Measure reading and writing a parameter file of VGG-16's size (138 million float32, 553 MB).

    python tools/bench_params.py [FOLDER]        FOLDER has room for two such files; the system's temporary one else

Each step runs in a process of its own. The peak of resident memory includes the interpreter and numpy, and the pages of
the mapped file, which the system can drop at any time. Exits with 1 when the peak reaches 1.3 times the file.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.3
CONVOLUTIONS = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
DENSE = [25088, 4096, 4096, 1000]


def shapes() -> dict[str, tuple[int, ...]]:
    """The parameters of VGG-16."""
    found: dict[str, tuple[int, ...]] = {}
    for i, (below, above) in enumerate(itertools.pairwise(CONVOLUTIONS)):
        found |= {f"arg:conv{i}_weight": (above, below, 3, 3), f"arg:conv{i}_bias": (above,)}
    for i, (below, above) in enumerate(itertools.pairwise(DENSE)):
        found |= {f"arg:fc{i}_weight": (above, below), f"arg:fc{i}_bias": (above,)}
    return found


def make(path: Path, _copy: Path) -> None:
    """Write the file, every row of a weight being the same random numbers so that making it takes no memory."""
    import numpy as np

    from graphkit.frameworks.mxnet import params

    rng = np.random.default_rng(0)
    arrays = {
        name: np.broadcast_to(rng.standard_normal(shape[1:] or shape, np.float32), shape)
        for name, shape in shapes().items()
    }
    params.write(path, arrays)


def rewrite(path: Path, copy: Path) -> None:
    """Read the file and write what was read."""
    from graphkit.frameworks.mxnet import params

    params.write(copy, params.read(path))


def convert(path: Path, copy: Path) -> None:
    """Read arguments and states as a conversion does, and write them by name."""
    from graphkit.frameworks.mxnet import params

    args, aux = params.load_checkpoint_params(path)
    params.write(copy, {f"arg:{name}": array for name, array in args.items()} | {f"aux:{k}": v for k, v in aux.items()})


def step(name: str, path: Path, copy: Path) -> tuple[float, int]:
    """Seconds and peak bytes of one step."""
    done = subprocess.run([sys.executable, __file__, "--step", name, path, copy], check=True, stdout=subprocess.PIPE)
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def peak_memory() -> int:
    """Bytes of resident memory at most since the process began its program."""
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def main() -> int:
    if sys.argv[1:2] == ["--step"]:
        name, path, copy = sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
        start = time.perf_counter()
        {"make": make, "rewrite": rewrite, "convert": convert}[name](path, copy)
        print(json.dumps([time.perf_counter() - start, peak_memory()]))
        return 0
    worst = 0.0
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        path, copy = Path(folder) / "vgg16-0000.params", Path(folder) / "copy-0000.params"
        step("make", path, copy)
        size = path.stat().st_size
        print(f"{'':10}{'MB':>8}{'seconds':>10}{'MB/s':>8}{'peak MB':>10}{'peak/size':>11}")
        for name in ("rewrite", "convert"):
            seconds, peak = step(name, path, copy)
            ratio = peak / size
            worst = max(worst, ratio)
            print(
                f"{name:10}{size / 1e6:8.1f}{seconds:10.2f}{size / 1e6 / seconds:8.0f}{peak / 1e6:10.1f}{ratio:11.3f}"
            )
    return int(worst >= LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
