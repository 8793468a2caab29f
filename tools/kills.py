"""Kills conversions at random moments, again and again, and looks at what they leave.

    tools/kills [SCENE …] [--kill KIND …] [--times 100] [--seed 0] [--size 32]

Scenes are conversions into a folder that holds an older output: ``torch`` (an MXNet pair to a folder of source and
weights in several files), ``mxnet`` (ONNX to a pair), ``onnx`` (an exported program to a file with external data),
``worker`` (ONNX to a pair that is verified on MXNet). What is killed with SIGKILL is the ``command``, its process
``group``, the process below it that works (``inner``), the group while drafts are written (``writing``) or files are
moved (``moving``), the process that moves them meanwhile (``mover_itself``), or MXNet's ``worker``. For ``moving`` and
``mover_itself`` files are moved slowly.

Each time the folder must hold all of the old files or all of the new ones, byte for byte, and after 15 seconds at most
neither drafts nor processes may be left. Exit status 1 if that failed once.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import killing

_WORDS = 100
"""Characters of an error that are shown."""
_TOLD = 20
"""After how many times what was found so far is said."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", default=list(killing.SCENES))
    parser.add_argument("--kill", action="append", choices=list(killing.KILLS))
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=32, help="MiB that are converted")
    parser.add_argument("--dir", help="where to work, e.g. a disk to try")
    given = parser.parse_args()
    wrong = 0
    for name in given.scenes:
        scene = killing.SCENES[name]
        with tempfile.TemporaryDirectory(dir=given.dir) as place:
            stage = killing.prepared(scene, Path(place), given.size)
            print(f"{name}: takes {stage.lasting:.2f} s, {len(stage.old)} old files, {len(stage.new)} new", flush=True)
            kills = given.kill or [kill for kill in killing.KILLS if (kill == "worker") == scene.slow]
            for kill in kills:
                draw = random.Random(given.seed)
                outcomes: Counter[str] = Counter()
                for number in range(1, given.times + 1):
                    found = stage.killed(killing.KILLS[kill](stage, draw), killing.SLOWLY.get(kill, 0.0))
                    what = "" if found.status <= 0 else f", {' '.join(stage.said().split())[:_WORDS]} …"
                    outcomes[found.outcome if found.wrong else f"{found.outcome} (status {found.status}{what})"] += 1
                    wrong += found.wrong
                    if found.wrong:
                        print(f"  {kill}: {found} {stage.said()}", flush=True)
                    if number % _TOLD == 0 or number == given.times:
                        told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
                        print(f"  {kill:13} {number} times: {told}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
