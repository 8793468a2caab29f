"""fixtures/legacy: what the script makes, and a file that the real MXNet takes for one of 2016."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from realmxnet import mxnet

import graphkit
from graphkit.frameworks.mxnet.params import read

LEGACY = Path(__file__).parents[3] / "fixtures" / "legacy"
SYMBOL, PARAMS = LEGACY / "textures-symbol.json", LEGACY / "textures-0012.params"


def test_the_files_are_what_the_script_makes(tmp_path):
    subprocess.run([sys.executable, str(LEGACY / "make.py"), str(tmp_path)], check=True)
    for path in (SYMBOL, PARAMS):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_files_are_of_the_age_that_they_are_said_to_be():
    symbol = json.loads(SYMBOL.read_text(encoding="utf-8"))
    assert set(symbol) == {"nodes", "arg_nodes", "heads"}
    assert all({"param", "backward_source_id"} < set(node) for node in symbol["nodes"])
    assert not any("moving" in node["name"] for node in symbol["nodes"])
    file = read(PARAMS)
    assert {record.version for record in file.records} == {0}
    assert {name.partition(":")[0] for name in file.names or ()} == {"arg", "aux"}
    gamma = dict(zip(file.names or (), file.records, strict=True))["arg:bn_data_gamma"].value
    assert np.abs(np.asarray(gamma) - 1).min() > 1e-3, "a gamma that fix_gamma overrules"


@pytest.mark.mxnet
def test_mxnet_loads_them_and_graphkit_computes_what_it_computes():
    mx = mxnet()
    data = np.random.RandomState(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    symbol, arguments, states = mx.model.load_checkpoint(str(LEGACY / "textures"), 12)
    executor = symbol.simple_bind(mx.cpu(), data=data.shape, softmax_label=(2,), grad_req="null")
    executor.copy_params_from(arguments, states)
    (there,) = executor.forward(is_train=False, data=mx.nd.array(data))
    model = graphkit.load(SYMBOL, inputs={"data": (2, 3, 32, 32)})
    (here,) = graphkit.run(model, {"data": data}, on="ort").values()
    assert there.shape == here.shape == (2, 6)
    np.testing.assert_allclose(here, there.asnumpy(), rtol=1e-5, atol=1e-6)
    assert here.max(axis=1).min() < 0.99, "probabilities that say something"
