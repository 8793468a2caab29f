"""The command line on MXNet's files."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import onnxruntime
import pytest

from graphkit.cli import main
from graphkit.frameworks.mxnet import checkpoint
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command line in a folder with ``net-symbol.json``; gives (status, stdout, stderr)."""
    x, weight, bias = (MxNode(VARIABLE, name) for name in ("data", "fc_weight", "fc_bias"))
    dense = MxNode("FullyConnected", "fc", {"num_hidden": "4"}, [MxRef(node) for node in (x, weight, bias)])
    reshaped = MxNode("Reshape", "split", {"shape": "(0, 2, 2)"}, [MxRef(dense)])
    nodes = [x, weight, bias, dense, reshaped]
    rng = np.random.default_rng(0)
    args = {"fc_weight": rng.normal(size=(4, 6)).astype(np.float32), "fc_bias": np.ones(4, np.float32)}
    checkpoint.write(MxModel(MxGraph(nodes, [MxRef(reshaped)]), args), tmp_path / "net")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        logging.disable(logging.NOTSET)
        return left.value.code, *capfd.readouterr()

    return run


@pytest.mark.parametrize(("given", "accepted"), [((), {1, 3}), (("--no-dynamic-batch",), {3})])
def test_the_batch_of_an_onnx_file_is_free_unless_it_is_to_be_kept(run, given, accepted):
    status, _, err = run("convert", "net-symbol.json", "--to", "onnx", "--input", "3x6", *given)
    assert (status, err) == (0, "")
    session = onnxruntime.InferenceSession("net.onnx")
    assert session.run(None, {"data": np.ones((3, 6), np.float32)})[0].shape == (3, 2, 2)
    if 1 in accepted:
        assert session.run(None, {"data": np.ones((1, 6), np.float32)})[0].shape == (1, 2, 2)
    else:
        with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
            session.run(None, {"data": np.ones((1, 6), np.float32)})


@pytest.mark.parametrize("opset", [9, 13, 21, 23])
def test_the_opset_is_chosen(run, opset):
    assert run("convert", "net-symbol.json", "--to", "onnx", "--opset", str(opset))[0] == 0
    proto = onnx.load("net.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version == opset
    onnxruntime.InferenceSession("net.onnx").run(None, {"data": np.ones((2, 6), np.float32)})
