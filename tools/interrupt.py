"""Disturbs commands at random moments: none may leave a process, half an output or a traceback behind.

    tools/interrupt.py --count 50 convert net.onnx --to mxnet -o out/net

Runs the command once undisturbed, in a copy of the folder that it is called in, then so often again with an interrupt,
a termination or a kill at a random moment of that time. Files that were there stay as they were, or are those of the
undisturbed command; the exit status is 1 where something else happened.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import interrupting


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--how", choices=interrupting.HOW, action="append")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells have programs in the background ignore
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "work"
        shutil.copytree(Path.cwd(), folder)
        before = interrupting.contents(folder)
        start = time.monotonic()
        fine = subprocess.run([sys.executable, "-m", "graphkit", *options.command], cwd=folder, check=False).returncode
        seconds = time.monotonic() - start
        after = interrupting.contents(folder)
        ends: Counter[str] = Counter()
        slowest, failures = 0.0, 0
        for number in range(options.count):
            shutil.rmtree(folder)
            shutil.copytree(Path.cwd(), folder)
            how = (options.how or [*interrupting.HOW])[number % len(options.how or interrupting.HOW)]
            found = interrupting.trial(options.command, folder, how, rng.uniform(0.0, seconds * 1.1), rng)
            wrong = interrupting.problem(found, fine)
            if not wrong and interrupting.contents(folder) not in (before, after):
                wrong = "left neither the old files nor the new ones"
            if wrong:
                failures += 1
                print(f"{how} after {found.after:.3f} s: {wrong}", flush=True)
            slowest = max(slowest, found.took if found.status not in (0, fine) else 0.0)
            ends[f"{how}: status {found.status}"] += 1
    for end, count in sorted(ends.items()):
        print(f"{count:4} {end}")
    print(f"{failures} of {options.count} went wrong; the slowest took {slowest:.1f} s to end")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
