"""Conversions that are killed leave the whole old or the whole new output; ``tools/kills`` tries many more moments."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import killing

CODE = """
import random, sys
from pathlib import Path
import killing
stage = killing.prepared(killing.SCENES["mxnet"], Path(sys.argv[1]), 6)
draw = random.Random(float(sys.argv[2]))
for kind in ("writing", "moving", "mover_itself") * 2:
    found = stage.killed(killing.KILLS[kind](stage, draw), killing.SLOWLY.get(kind, 0.0))
    print(found.outcome + stage.said() if found.wrong else "fine")
"""
"""In a Python of its own: this one's libraries may have threads, and could not be forked."""


def test_a_killed_conversion_leaves_all_old_files_or_all_new_ones(tmp_path):
    seed = random.random()
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(killing.__file__).parent)},
    )
    assert (done.returncode, done.stdout.split()) == (0, ["fine"] * 6), (seed, done.stdout, done.stderr)
