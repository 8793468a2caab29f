"""Published MXNet files, of versions 0.5 to 2.0, keep computing what MXNet 1.9.1 computed with them."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from paths import REAL_MODELS, real_models

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet import checkpoint, params, symbol
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import MxModel

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

pytestmark = pytest.mark.skipif(REAL_MODELS is None, reason="the published models are not beside the repository")

REFUSED_BY_MXNET = {
    "bmxnet-cifar10-resnet18": "QConvolution",
    "bmxnet-imagenet-resnet18": "QActivation",
    "bmxnet-mnist-32bit": "QActivation",
    "lightened-moon-attr": "MoonOutput",
}
"""Models of a fork of MXNet, with an operator that MXNet 1.9.1 does not have."""

NOT_YET = {
    "djl-maskrcnn-r18": "_contrib_ROIAlign",
    "djl-ssd512-vgg16": "_contrib_box_nms",
    "mms-lstm-ptb": "RNN",
}
"""Models with an operator that graphkit does not convert yet; they need no parameters to be refused."""

WITHOUT_REFERENCE = {"inception-bn-ios-2016", "save-000800-mkldnn-off"}
"""Models that MXNet 1.9.1 does not run as they are: an architecture it rejects, and a parameter it does not know."""

LARGE = 200e6
"""Bytes of parameters above which the checkpoint is not written to disk."""

RUN = sorted(set(real_models()) - set(REFUSED_BY_MXNET) - set(NOT_YET) - WITHOUT_REFERENCE)


@cache
def fill() -> Any:
    assert REAL_MODELS is not None
    spec = importlib.util.spec_from_file_location("fill", REAL_MODELS / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name: str) -> tuple[MxModel, dict[str, np.ndarray], list[np.ndarray]]:
    """The model, with the parameters it was run with; its inputs; its outputs."""
    assert REAL_MODELS is not None
    folder = REAL_MODELS / name
    io = np.load(folder / "ref_io.npz")
    feeds = {key.removeprefix("in:"): io[key] for key in io if key.startswith("in:")}
    outputs = [io[key] for key in io if key.startswith("out")]
    graph = symbol.read(folder / "symbol.json")
    if (folder / "model.params").exists():
        return MxModel(graph, *params.load_checkpoint_params(folder / "model.params")), feeds, outputs
    shapes = json.loads((folder / "shapes.json").read_text())
    read = {
        kind: {
            variable: fill().value(variable, shape, dtype)
            for variable, (shape, dtype) in shapes[kind].items()
            if variable not in feeds and not variable.endswith("label")
        }
        for kind in ("args", "aux")
    }
    return MxModel(graph, read["args"], read["aux"]), feeds, outputs


def converted(mx: MxModel, feeds: dict[str, np.ndarray], label: str) -> ir.Model:
    inputs = tuple(InputSpec(name, array.shape, array.dtype.name) for name, array in feeds.items())
    return canonical(from_symbol(mx, ReadOptions(inputs=inputs), label))


def assert_close(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        assert left.shape == right.shape
        assert float(np.abs(left - right).max()) <= 1e-4 * float(np.abs(right).max())


@pytest.mark.parametrize("name", RUN)
def test_a_published_model_computes_the_same_after_conversion_both_ways(name: str, tmp_path: Path) -> None:
    """Symbol to canonical form and back, written, read again, run: what MXNet 1.9.1 gave for the original."""
    mx, feeds, expected = load(name)
    model = converted(mx, feeds, name)
    again = to_symbol(model)
    if sum(array.nbytes for array in again.args.values()) < LARGE:
        checkpoint.write(again, tmp_path / "again")
        again = checkpoint.read(tmp_path / "again-symbol.json", ReadOptions())
    set_source(model, Source("mxnet", name, again))
    fed = {value.name or "": feeds[value.name or ""] for value in model.graph.inputs}
    with runtimes()["mxnet"].open(model) as session:
        assert_close(list(session.forward(fed).values()), expected)


@pytest.mark.parametrize("name", sorted({**REFUSED_BY_MXNET, **NOT_YET}))
def test_a_model_with_unknown_operators_is_refused_with_their_names(name: str) -> None:
    assert REAL_MODELS is not None
    mx = MxModel(symbol.read(REAL_MODELS / name / "symbol.json"))
    with pytest.raises(UnsupportedError, match={**REFUSED_BY_MXNET, **NOT_YET}[name]):
        from_symbol(mx, ReadOptions(), name)
