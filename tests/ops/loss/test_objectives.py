"""Output layers in training form: their losses have the gradients that MXNet's own inject, option by option."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from graphkit.errors import FeedError, UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ir.training import losses, stops_gradient
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef
from graphkit.passes.cast_floats import cast_floats

Arrays = dict[str, np.ndarray]

RNG = np.random.default_rng(3)
ROWS = RNG.standard_normal((4, 5))
MAPS = RNG.standard_normal((2, 3, 4, 2))
CLASSES = np.array([1.0, 4.0, 0.0, 4.0])
PLACES = RNG.integers(0, 3, (2, 4, 2)).astype(float)
PARTS = RNG.standard_normal((2, 4, 3))
SPANS = RNG.integers(0, 3, (2, 4)).astype(float)


@dataclass(frozen=True)
class Layer:
    """An output layer with what it is fed; ``tol`` is 1e-12 unless MXNet rounds a scale to float32."""

    op: str
    data: np.ndarray
    label: np.ndarray | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    tol: float = 1e-12

    @property
    def id(self) -> str:
        given = " ".join(f"{name}={value}" for name, value in self.attrs.items())
        return f"{self.op} {'×'.join(map(str, self.data.shape))} {given}".strip()


def softmax(data: np.ndarray, label: np.ndarray, tol: float = 1e-12, **attrs: Any) -> Layer:
    return Layer("SoftmaxOutput", data, label, attrs, tol)


SINGLE = 2e-7
LAYERS = [
    softmax(ROWS, CLASSES),
    softmax(ROWS, CLASSES, grad_scale=0.25),
    softmax(ROWS, CLASSES, SINGLE, grad_scale=0.3),
    softmax(ROWS, CLASSES, normalization="batch"),
    softmax(ROWS, CLASSES, normalization="valid"),
    softmax(ROWS, CLASSES, normalization="valid", ignore_label=4),
    softmax(ROWS, CLASSES, use_ignore=True),
    softmax(ROWS, CLASSES, use_ignore=True, ignore_label=4),
    softmax(ROWS, CLASSES, use_ignore=True, ignore_label=4, normalization="batch"),
    softmax(ROWS, CLASSES, use_ignore=True, ignore_label=4, normalization="valid"),
    softmax(ROWS, np.full(4, -1.0), use_ignore=True, normalization="valid"),
    softmax(ROWS, np.array([-1.0, 2, 3, -1]), use_ignore=True, normalization="valid", grad_scale=2),
    softmax(ROWS, np.array([0.9, 2.5, 3.99, 1.0])),
    softmax(ROWS, CLASSES, SINGLE, smooth_alpha=0.2),
    softmax(ROWS, CLASSES, SINGLE, smooth_alpha=0.25, use_ignore=True, ignore_label=4, normalization="valid"),
    softmax(ROWS, RNG.uniform(size=(4, 5))),
    softmax(ROWS, RNG.uniform(size=(4, 5)), grad_scale=2, normalization="batch"),
    softmax(MAPS, PLACES, multi_output=True),
    softmax(MAPS, PLACES.reshape(2, 8), multi_output=True),
    softmax(MAPS, PLACES, multi_output=True, normalization="batch"),
    softmax(MAPS, PLACES, SINGLE, multi_output=True, normalization="valid", use_ignore=True, ignore_label=1),
    softmax(MAPS, PLACES.reshape(2, 8), multi_output=True, normalization="batch", use_ignore=True, ignore_label=1),
    softmax(MAPS, PLACES, multi_output=True, use_ignore=True, ignore_label=2),
    softmax(MAPS, PLACES, multi_output=True, smooth_alpha=0.3, use_ignore=True, ignore_label=2),
    softmax(PARTS, SPANS, SINGLE, preserve_shape=True, smooth_alpha=0.3),
    softmax(MAPS, RNG.uniform(size=MAPS.shape), multi_output=True, grad_scale=2),
    softmax(PARTS, SPANS, preserve_shape=True),
    softmax(PARTS, SPANS, preserve_shape=True, normalization="batch"),
    softmax(PARTS, SPANS, SINGLE, preserve_shape=True, normalization="valid", use_ignore=True, ignore_label=1),
    softmax(PARTS, RNG.uniform(size=PARTS.shape), preserve_shape=True),
    softmax(PARTS, RNG.uniform(size=PARTS.shape)),
    *(
        Layer(op, data, label.reshape(shape), attrs, tol)
        for op in ("LinearRegressionOutput", "LogisticRegressionOutput", "MAERegressionOutput")
        for data, label, shape, attrs, tol in (
            (MAPS[:, :2], RNG.uniform(size=(2, 2, 4, 2)), (2, 2, 4, 2), {}, 1e-12),
            (ROWS, RNG.uniform(size=(4, 5)), (4, 5), {"grad_scale": 0.1}, SINGLE),
            (ROWS[:, :1], RNG.uniform(size=4), (4,), {"grad_scale": 2}, 1e-12),
            (PARTS, RNG.uniform(size=24), (2, 12), {}, SINGLE),
        )
    ),
    Layer("MAERegressionOutput", ROWS[:, :4], np.where(ROWS > 0, ROWS, 0)[:, :4]),
    Layer("MakeLoss", ROWS),
    Layer("MakeLoss", ROWS, attrs={"grad_scale": 0.5, "normalization": "batch"}),
    Layer("MakeLoss", ROWS, attrs={"grad_scale": 2, "normalization": "valid", "valid_thresh": 0.5}, tol=SINGLE),
    Layer("MakeLoss", ROWS, attrs={"normalization": "valid", "valid_thresh": 50}),
    Layer("make_loss", ROWS),
    Layer("SVMOutput", ROWS, CLASSES),
    Layer("SVMOutput", ROWS, CLASSES, {"use_linear": True}),
    Layer("SVMOutput", ROWS, CLASSES, {"margin": 0.5, "regularization_coefficient": 0.25}),
    Layer("SVMOutput", ROWS, CLASSES, {"use_linear": True, "regularization_coefficient": 0.3}, SINGLE),
]


def symbol(layer: Layer) -> tuple[MxModel, Arrays]:
    feeds = {"data": layer.data} if layer.label is None else {"data": layer.data, "label": layer.label}
    variables = [MxNode(VARIABLE, name) for name in feeds]
    attrs = {name: str(value) for name, value in layer.attrs.items()}
    node = MxNode(layer.op, "head", attrs, [MxRef(variable) for variable in variables])
    return MxModel(MxGraph([*variables, node], [MxRef(node)])), feeds


def read(mx: MxModel, feeds: Arrays, *, given: tuple[str, ...] = ("data", "label"), fixed: bool = True) -> Any:
    """The symbol in training form, in float64, with the symbol as its source."""
    inputs = tuple(InputSpec(name, feeds[name].shape) for name in given if name in feeds)
    model = canonical(from_symbol(mx, ReadOptions(inputs=inputs, dynamic_batch=not fixed, train=True), "net"))
    set_source(model, Source("mxnet", "net", mx))
    return cast_floats(model, "float64")


def seeds_of(model: Any, outputs: Arrays) -> Arrays:
    known = {**outputs, **{name: np.float64(0) for name in losses(model)}}
    return {
        name: np.ones(()) if name in losses(model) else np.full(known[name].shape, 0.7)
        for name in (value.name for value in model.graph.outputs)
    }


def gradients(name: str, model: Any, feeds: Arrays, *, native: bool) -> tuple[Arrays, Arrays]:
    with runtimes()[name].open(model, native=native) as session:
        outputs = session.forward(feeds)
        return outputs, session.backward(feeds, seeds_of(model, outputs))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.id)
@pytest.mark.parametrize("other", ["mxnet", "torch"])
def test_the_gradient_of_the_loss_is_what_mxnet_injects(layer: Layer, other: str) -> None:
    mx, feeds = symbol(layer)
    model = read(mx, feeds)
    _, injected = gradients("mxnet", model, feeds, native=True)
    outputs, found = gradients(other, model, feeds, native=False)
    assert np.any(injected["data"]) or np.all(layer.label == -1)
    scale = np.abs(injected["data"]).max() or 1
    np.testing.assert_allclose(found["data"], injected["data"], atol=layer.tol * scale, rtol=0)
    if layer.label is not None:
        assert not injected["label"].any()
        assert not found["label"].any()
    assert outputs["head_loss"].shape == ()


def chain(*specs: tuple[str, str, tuple[str, ...], dict[str, str]], heads: tuple[str, ...]) -> MxModel:
    """A symbol of nodes given as (name, operator, what it reads, parameters)."""
    nodes: dict[str, MxNode] = {}
    for name, op, inputs, attrs in specs:
        nodes[name] = MxNode(op, name, dict(attrs), [MxRef(nodes[other]) for other in inputs])
    return MxModel(MxGraph(list(nodes.values()), [MxRef(nodes[name]) for name in heads]))


DATA = ("data", VARIABLE, (), {})
LABEL = ("label", VARIABLE, (), {})


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (softmax(ROWS, CLASSES, out_grad=True), "out_grad"),
        (softmax(PARTS, SPANS), "preserve_shape"),
        (Layer("SVMOutput", PARTS, SPANS), "flatten it"),
    ],
    ids=lambda case: case.id if isinstance(case, Layer) else None,
)
def test_what_mxnet_trains_wrongly_is_refused(layer: Layer, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        read(*symbol(layer))


@pytest.mark.parametrize("layer", [softmax(ROWS, CLASSES), softmax(MAPS, PLACES, multi_output=True)])
def test_labels_take_the_shape_that_mxnet_infers_and_leave_the_batch_free(layer: Layer) -> None:
    model = read(*symbol(layer), given=("data",), fixed=False)
    data, label = model.graph.inputs
    assert [str(dim) for dim in label.shape] == [str(data.shape[0]), *(str(dim) for dim in data.shape[2:])]
    assert data.shape[0] == label.shape[0] == "batch"


def test_the_loss_of_classes_is_their_mean_cross_entropy() -> None:
    model = read(*symbol(softmax(ROWS, CLASSES, normalization="batch")))
    with runtimes()["ort"].open(model) as session:
        found = session.forward({"data": ROWS, "label": CLASSES})
    logs = ROWS - np.log(np.exp(ROWS).sum(1, keepdims=True))
    np.testing.assert_allclose(found["head_loss"], -logs[np.arange(4), CLASSES.astype(int)].mean(), rtol=1e-12)
    np.testing.assert_allclose(found["head_output"], np.exp(logs), rtol=1e-12)


def test_a_layer_that_injects_nothing_has_no_loss() -> None:
    warnings: list[str] = []
    mx = chain(DATA, ("head", "MakeLoss", ("data",), {"grad_scale": "0"}), heads=("head",))
    options = ReadOptions(inputs=(InputSpec("data", (2, 3)),), train=True, warn=warnings.append)
    assert losses(canonical(from_symbol(mx, options, "net"))) == []
    assert "no output layer" in warnings[0]


def test_every_output_layer_has_a_loss_also_where_its_output_is_used() -> None:
    mx = _branches()
    rng = np.random.default_rng(5)
    feeds = {"data": rng.standard_normal((4, 5)), "label": np.array([0.0, 2, 1, 2]), "box": rng.standard_normal((4, 3))}
    model = read(mx, feeds, given=("data", "label", "box"))
    assert losses(model) == ["classes_loss", "boxes_loss"]
    _, injected = gradients("mxnet", model, feeds, native=True)
    _, found = gradients("mxnet", model, feeds, native=False)
    for name, gradient in injected.items():
        np.testing.assert_allclose(found[name], gradient, atol=1e-7, rtol=0)
    assert np.abs(injected["w"]).max() > 0.1


def _branches() -> MxModel:
    mx = chain(
        DATA,
        LABEL,
        ("box", VARIABLE, (), {}),
        ("w", VARIABLE, (), {}),
        ("b", VARIABLE, (), {}),
        ("scores", "FullyConnected", ("data", "w", "b"), {"num_hidden": "3"}),
        ("classes", "SoftmaxOutput", ("scores", "label"), {}),
        ("best", "argmax", ("classes",), {"axis": "1"}),
        ("boxes", "LinearRegressionOutput", ("scores", "box"), {}),
        ("blocked", "BlockGrad", ("scores",), {}),
        ("squares", "square", ("blocked",), {}),
        heads=("best", "boxes", "squares"),
    )
    rng = np.random.default_rng(4)
    mx.args.update(w=rng.standard_normal((3, 5)).astype(np.float32), b=np.ones(3, np.float32))
    return mx


def test_a_label_that_was_stored_with_the_parameters_is_an_input() -> None:
    mx, feeds = symbol(softmax(ROWS, CLASSES))
    mx.args["label"] = np.zeros(9, np.float32)
    assert [value.name for value in read(mx, feeds, given=("data",)).graph.inputs] == ["data", "label"]


def test_mxnets_output_layers_know_no_other_cotangent_than_one() -> None:
    model = read(*symbol(softmax(ROWS, CLASSES)))
    feeds = {"data": ROWS, "label": CLASSES}
    with runtimes()["mxnet"].open(model) as session, pytest.raises(FeedError, match="cotangent 1 only"):
        session.backward(feeds, {"head_output": np.ones((4, 5)), "head_loss": np.full((), 2.0)})


@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(("runtime", "native"), [("mxnet", True), ("mxnet", False), ("torch", False)])
def test_no_gradient_flows_back_through_a_stop(runtime: str, native: bool, train: bool) -> None:
    mx = chain(
        DATA,
        ("stop", "BlockGrad", ("data",), {}),
        ("sum", "elemwise_add", ("data", "stop"), {}),
        ("other", "BlockGrad", ("sum",), {}),
        heads=("sum", "other"),
    )
    options = ReadOptions(inputs=(InputSpec("data", (2, 3)),), train=train)
    model = canonical(from_symbol(mx, options, "net"))
    set_source(model, Source("mxnet", "net", mx))
    assert [stops_gradient(node) for node in model.graph] == [True, False, True]
    ones = np.ones((2, 3), np.float32)
    with runtimes()[runtime].open(model, native=native) as session:
        outputs = session.forward({"data": ones})
        found = session.backward({"data": ones}, {"sum_output": 3 * ones, "other_output": ones})
    np.testing.assert_array_equal(outputs["other_output"], 2 * ones)
    np.testing.assert_array_equal(found["data"], 3 * ones)


def test_stops_and_losses_survive_in_an_onnx_file(tmp_path: Any) -> None:
    import graphkit

    warnings: list[str] = []
    model = canonical(from_symbol(_branches(), ReadOptions(inputs=(InputSpec("data", (4, 5)),), train=True), "net"))
    graphkit.save(model, tmp_path / "net.onnx", to="onnx", warn=warnings.append)
    assert "2 nodes stop gradients (the first is 'classes')" in warnings[0]
    back = graphkit.load(tmp_path / "net.onnx")
    assert losses(back) == ["classes_loss", "boxes_loss"]
    assert sum(map(stops_gradient, back.graph)) == sum(map(stops_gradient, model.graph)) == 4


def test_a_penalty_of_a_running_average_is_no_part_of_the_inference_form_and_refused_in_training() -> None:
    mx = chain(
        DATA,
        ("average", VARIABLE, (), {}),
        ("active", "sigmoid", ("data",), {}),
        ("sparse", "IdentityAttachKLSparseReg", ("active", "average"), {"penalty": "0.5"}),
        heads=("sparse",),
    )
    mx.aux["average"] = np.full(3, 0.5, np.float32)
    inputs = (InputSpec("data", (2, 3)),)
    model = canonical(from_symbol(mx, ReadOptions(inputs=inputs), "net"))
    set_source(model, Source("mxnet", "net", mx))
    assert [node.op_type for node in model.graph] == ["Sigmoid"]
    ones = np.ones((2, 3), np.float32)
    with runtimes()["mxnet"].open(model) as session:
        (name,) = session.forward({"data": ones})
        slope = np.exp(-1) / (1 + np.exp(-1)) ** 2
        np.testing.assert_allclose(session.backward({"data": ones}, {name: ones})["data"], slope, rtol=1e-5)
    with pytest.raises(UnsupportedError, match="running average"):
        from_symbol(mx, ReadOptions(inputs=inputs, train=True), "net")


@pytest.mark.parametrize(
    ("source", "stays"),
    [("x", True), ("parameter", True), ("constant", False), ("whole", False), ("stopped", False)],
)
def test_a_stop_stays_where_a_gradient_could_flow(source: str, stays: bool) -> None:
    import onnx_ir as ir

    from graphkit.ir.params import set_kind
    from graphkit.ir.training import stop_gradient

    model = ir.from_onnx_text(
        """
        <ir_version: 10, opset_import: ["": 23]>
        net (float[2] x) => (float[2] y) <float[2] parameter = {1, 2}, float[2] constant = {3, 4}> {
            whole = Cast<to = 7>(x)
            stopped = Identity(parameter)
            stop = Identity(SOURCE)
            number = Cast<to = 1>(stop)
            sum = Add(stopped, number)
            y = Add(sum, constant)
        }
    """.replace("SOURCE", source)
    )
    for name in ("parameter", "constant"):
        set_kind(model.graph.initializers[name], name)
    for node in model.graph:
        if node.op_type == "Identity":
            stop_gradient(node)
    canonical(model)
    assert sum(map(stops_gradient, model.graph)) == 1 + stays
