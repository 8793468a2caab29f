"""MXNet's operators of neural networks where reading them needs more than a case can say."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.errors import ShapeNeededError, UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir import params
from graphkit.ir.canonical import canonical
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef

STATISTICS = {
    "gamma": np.asarray([5, 7], np.float32),
    "beta": np.asarray([0, 1], np.float32),
}
STATES = {"mean": np.asarray([1, 2], np.float32), "var": np.asarray([1, 4], np.float32)}


def read(op: str, attrs: dict[str, str], *inputs: InputSpec, args=None, aux=None):  # type: ignore[no-untyped-def]
    names = [spec.name for spec in inputs] + list(args or {}) + list(aux or {})
    variables = [MxNode(VARIABLE, name) for name in names]
    node = MxNode(op, "node", attrs, [MxRef(variable) for variable in variables])
    mx = MxModel(MxGraph([*variables, node], [MxRef(node)]), dict(args or {}), dict(aux or {}))
    return canonical(from_symbol(mx, ReadOptions(inputs=inputs), "model"))


def written(model) -> MxNode:  # type: ignore[no-untyped-def]
    return next(node for node in to_symbol(model).graph.nodes if not node.is_variable)


def test_a_fixed_gamma_is_ones_whatever_the_file_stores() -> None:
    model = read("BatchNorm", {}, InputSpec("x", (None, 2)), args=STATISTICS, aux=STATES)
    assert "gamma" not in model.graph.initializers
    kinds = {name: params.kind_of(value) for name, value in model.graph.initializers.items()}
    assert sorted(kinds.values()) == ["buffer", "buffer", "constant", "parameter"]
    with runtimes()["reference"].open(model) as session:
        (found,) = session.forward({"x": np.asarray([[1, 4]], np.float32)}).values()
    np.testing.assert_allclose(found, [[0, 2]], rtol=1e-3)
    assert written(model).attrs["fix_gamma"] == "True"


@pytest.mark.parametrize("attrs", [{"use_global_stats": "True"}, {}])
def test_frozen_statistics_stay_frozen(attrs: dict[str, str]) -> None:
    model = read("BatchNorm", {**attrs, "fix_gamma": "0"}, InputSpec("x", (None, 2)), args=STATISTICS, aux=STATES)
    assert written(model).attrs.get("use_global_stats") == attrs.get("use_global_stats")


def test_axes_that_share_a_dropout_mask_are_kept() -> None:
    model = read("Dropout", {"p": "0.25", "axes": "(2, 3)"}, InputSpec("x", (None, 2, 3, 3)))
    assert written(model).attrs == {"p": "0.25", "axes": "(2, 3)"}


@pytest.mark.parametrize(
    ("op", "attrs", "why"),
    [
        ("Dropout", {"mode": "always"}, "in inference, too"),
        ("Pooling", {"kernel": "(2, 2)", "pooling_convention": "same"}, "does not work in MXNet"),
        ("Pooling", {"kernel": "(2, 2)", "pool_type": "lp", "p_value": "4"}, "does not pool with p_value=4"),
        ("Pooling", {"pool_type": "max"}, "neither a kernel nor global_pool"),
        ("Pooling", {"kernel": "(2, 2)", "stride": "(1, 1, 1)"}, "one number for each of the 2"),
        ("Pooling", {"kernel": "(2, 2)", "surprise": "1"}, "surprise"),
        ("_contrib_BilinearResize2D", {"mode": "odd_scale"}, "needs both"),
    ],
)
def test_what_mxnet_itself_does_not_do_is_refused(op: str, attrs: dict[str, str], why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        read(op, attrs, InputSpec("x", (None, 2, 4, 4)))


def test_a_convolution_with_its_channels_last_is_refused() -> None:
    attrs = {"kernel": "(1, 1)", "num_filter": "2", "no_bias": "1", "layout": "NHWC"}
    with pytest.raises(UnsupportedError, match="GPUs only"):
        read("Convolution", attrs, InputSpec("x", (None, 4, 4, 2)), args={"w": np.zeros((2, 1, 1, 2), np.float32)})


@pytest.mark.parametrize("attrs", [{}, {"offset": "(1, 2)"}, {"center_crop": "True"}])
@pytest.mark.parametrize("size", [(5, 7), (8, 6)])
def test_an_image_is_cropped_like_another_of_a_free_size(attrs: dict[str, str], size: tuple[int, int]) -> None:
    free = (None, 1, None, None)
    model = read("Crop", {"num_args": "2", **attrs}, InputSpec("x", free), InputSpec("like", free))
    x = np.random.default_rng(0).standard_normal((2, 1, *size)).astype(np.float32)
    with runtimes()["reference"].open(model) as session:
        (found,) = session.forward({"x": x, "like": np.zeros((2, 1, 3, 4), np.float32)}).values()
    top, left = {"": (0, 0), "offset": (1, 2), "center_crop": ((size[0] - 3) // 2, (size[1] - 4) // 2)}["".join(attrs)]
    np.testing.assert_array_equal(found, x[:, :, top : top + 3, left : left + 4])
    if "center_crop" not in attrs:
        ops = [node.op for node in to_symbol(model).graph.nodes if not node.is_variable]
        assert ops == ["slice", "slice_like"][-len(ops) :]


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("_contrib_AdaptiveAvgPooling2D", {"output_size": "(2, 3)"}),
        ("_contrib_BilinearResize2D", {"mode": "to_even_up"}),
    ],
)
def test_a_size_that_is_needed_is_asked_for(op: str, attrs: dict[str, str]) -> None:
    with pytest.raises(ShapeNeededError, match="--input x:"):
        read(op, attrs, InputSpec("x", (None, 2, None, None)))


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["max", "sum"])
def test_pooling_of_a_free_size_keeps_windows_in_the_padding(size: int, kind: str) -> None:
    attrs = {"kernel": "(2,)", "stride": "(2,)", "pad": "(1,)", "pooling_convention": "full", "pool_type": kind}
    model = read("Pooling", attrs, InputSpec("x", (None, 1, None)))
    x = np.random.default_rng(0).standard_normal((2, 1, size)).astype(np.float32)
    with runtimes()["reference"].open(model) as session:
        (found,) = session.forward({"x": x}).values()
    padded = np.pad(x, [(0, 0), (0, 0), (1, 2)], constant_values=np.finfo(np.float32).min if kind == "max" else 0)
    pairs = padded[..., : (padded.shape[2] // 2) * 2].reshape(2, 1, -1, 2)
    np.testing.assert_allclose(found, pairs.max(-1) if kind == "max" else pairs.sum(-1), rtol=1e-6)
    assert found.shape[2] == 1 + -(-size // 2)


@pytest.mark.parametrize("include", ["True", "False"])
def test_means_of_windows_in_the_padding_need_sizes_but_no_batch(include: str) -> None:
    attrs = {"kernel": "(3,)", "stride": "(3,)", "pad": "(1,)", "pooling_convention": "full", "pool_type": "avg"}
    model = read("Pooling", attrs | {"count_include_pad": include}, InputSpec("x", (None, 1, 8)))
    for batch in (1, 3):
        x = np.random.default_rng(0).standard_normal((batch, 1, 8)).astype(np.float32)
        with runtimes()["reference"].open(model) as session:
            (found,) = session.forward({"x": x}).values()
        inside = [x[..., :2], x[..., 2:5], x[..., 5:8]]
        divided = [3 if include == "True" else part.shape[-1] for part in inside]
        expected = [part.sum(-1) / by for part, by in zip(inside, divided, strict=True)]
        np.testing.assert_allclose(found[..., :3], np.stack(expected, -1), rtol=1e-6)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_group_norm_that_was_read_is_written_as_it_was(groups: int) -> None:
    args = {"gamma": np.arange(1, groups + 1, dtype=np.float32), "beta": np.zeros(groups, np.float32)}
    model = read("GroupNorm", {"num_groups": str(groups)}, InputSpec("x", (None, 4, 3)), args=args)
    mx = to_symbol(model)
    assert [node.op for node in mx.graph.nodes if not node.is_variable] == ["GroupNorm"]
    np.testing.assert_array_equal(mx.args["gamma"], args["gamma"])
