"""Commands that are disturbed at any moment end in order; ``tools/interrupt.py`` tries more moments, and commands."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest
from interrupting import HOW, contents, problem, trial

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
COMMAND = ("convert", "x.onnx", "--to", "mxnet", "-o", "y")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], dict[str, str]]:
    """A folder with a model and old outputs, what is in it, and what is in it once the model has been converted."""
    folder = tmp_path_factory.mktemp("disturbed")
    weight = ir.tensor(np.random.default_rng(0).standard_normal((300, 400)).astype(np.float32), name="w")
    text = '<ir_version: 10, opset_import: ["" : 21]> g (float[n, 300] x) => (float[n, 400] y) { y = MatMul(x, w) }'
    ir.save(ir.from_onnx_text(text, initializers=[weight]), folder / "x.onnx")
    subprocess.run([sys.executable, "-m", "graphkit", *COMMAND], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    new = contents(folder)
    for path in folder.glob("y*"):
        path.write_text("old")
    return folder, contents(folder), new


@pytest.mark.parametrize("how", HOW)
def test_a_conversion_leaves_the_old_files_or_the_new_ones(how, outputs) -> None:
    folder, old, new = outputs
    rng = random.Random(how)
    for after in (0.2, 0.5, 0.8):
        found = trial(COMMAND, folder, how, after * rng.uniform(1, 1.3), rng)
        assert not problem(found)
        assert contents(folder) in (old, new)
