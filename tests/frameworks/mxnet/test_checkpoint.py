"""The two files of a checkpoint: how they are named and found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from mxsymbols import graph, op, var

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import ReadOptions, runtimes
from graphkit.frameworks.mxnet import checkpoint, params
from graphkit.ir.canonical import canonical
from graphkit.ops.mxgraph import MxModel


def layer(**arrays) -> MxModel:  # type: ignore[no-untyped-def]
    """A FullyConnected of 4 features and 3 outputs."""
    dense = op("FullyConnected", "fc", var("data"), var("fc_weight"), var("fc_bias"), num_hidden=3)
    given = {"fc_weight": np.ones((3, 4), np.float32), "fc_bias": np.zeros(3, np.float32), **arrays}
    return MxModel(graph(dense), given)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("net-symbol.json", "net"),
        ("net.json", "net"),
        ("net-0012.params", "net"),
        ("net.params", "net"),
        ("net", "net"),
        ("squeezenet1.0", "squeezenet1.0"),
        ("squeezenet1.0-symbol.json", "squeezenet1.0"),
        (".json", ".json"),
    ],
)
def test_a_prefix_is_a_name_without_the_endings_of_a_checkpoint(name: str, prefix: str) -> None:
    assert checkpoint.prefix_of(Path("folder") / name) == Path("folder") / prefix


def test_a_prefix_with_a_dot_is_written_and_found_again(tmp_path: Path) -> None:
    files = checkpoint.write(layer(), checkpoint.prefix_of(tmp_path / "net1.0"))
    assert [file.name for file in files] == ["net1.0-symbol.json", "net1.0-0000.params"]
    assert checkpoint.newest_params(files[0]) == files[1]


def test_the_newest_epoch_is_read(tmp_path: Path) -> None:
    symbol, _ = checkpoint.write(layer(), tmp_path / "net")
    for epoch in (2, 10, 9):
        params.write(tmp_path / f"net-{epoch:04}.params", {"arg:fc_bias": np.full(3, epoch, np.float32)})
    params.write(tmp_path / "net-best.params", {"arg:fc_bias": np.full(3, 99, np.float32)})
    params.write(tmp_path / "another-0099.params", {"arg:fc_bias": np.full(3, 99, np.float32)})
    assert checkpoint.read(symbol, ReadOptions()).args["fc_bias"][0] == 10


def test_an_older_checkpoint_that_counts_as_newer_is_told_of(tmp_path: Path) -> None:
    symbol, _ = checkpoint.write(layer(), tmp_path / "net")
    model = graphkit.load(symbol, inputs=["data:2x4"])
    params.write(tmp_path / "out-0003.params", {})
    told: list[str] = []
    graphkit.save(model, tmp_path / "out", to="mxnet", warn=told.append)
    assert len(told) == 1
    assert "out-0003.params" in told[0]


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """A checkpoint of everything that an executor held: the data and the labels of the last batch, too."""
    dense = op("FullyConnected", "fc", var("data"), var("fc_weight"), var("fc_bias"), num_hidden=3)
    head = op("SoftmaxOutput", "softmax", dense, var("softmax_label"))
    held = {"data": np.ones((2, 4), np.float32), "softmax_label": np.zeros(2, np.float32)}
    symbol, _ = checkpoint.write(MxModel(graph(head), {**layer().args, **held}), tmp_path / "net")
    return symbol


def test_stored_data_is_not_taken_for_a_parameter(everything: Path) -> None:
    with pytest.raises(InputError, match=r"a value for every variable, for data too.* --input data:2x4"):
        graphkit.load(everything)


def test_a_stored_batch_is_not_run_with_another(everything: Path) -> None:
    model = graphkit.load(everything, inputs=["data:?x4"])
    assert set(model.graph.initializers) == {"fc_weight", "fc_bias"}
    with runtimes()["mxnet"].open(model) as session:
        (found,) = session.forward({"data": np.ones((5, 4), np.float32)}).values()
    np.testing.assert_allclose(found, np.full((5, 3), 1 / 3), rtol=1e-6)


def test_inputs_keep_their_type_beside_parameters_of_another(tmp_path):
    text = """<ir_version: 10, opset_import: ["" : 21]> g (float[n, 2] x) => (float[n, 3] y)
    { wide = Cast<to = 1>(w)  y = MatMul(x, wide) }"""
    model = ir.from_onnx_text(text, initializers=[ir.tensor(np.ones((2, 3), np.float16), name="w")])
    graphkit.save(canonical(model), tmp_path / "net", to="mxnet")
    read = graphkit.load(tmp_path / "net-symbol.json")
    assert [value.dtype for value in read.graph.inputs] == [ir.DataType.FLOAT]
