"""Gluon blocks, symbols and modules of an MXNet in this process."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from realmxnet import mxnet

import graphkit
from graphkit.errors import FeedError, InputError, ParameterError
from graphkit.frameworks.base import frameworks, runtimes
from graphkit.ir import params


@pytest.fixture
def mx() -> Any:
    return mxnet()


def drawn(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


def agrees(source: Any, model: Any, arrays: list[np.ndarray]) -> None:
    """That a model computes what a block does, run as MXNet's symbol and converted."""
    found = source(*map(mxnet().nd.array, arrays))
    expected = [each.asnumpy() for each in (found if isinstance(found, list | tuple) else [found])]
    feeds = dict(zip([value.name for value in model.graph.inputs], arrays, strict=True))
    for runtime in ("mxnet", "ort"):
        with runtimes()[runtime].open(model) as session:
            for left, right in zip(expected, session.forward(feeds).values(), strict=True):
                np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def dense(mx: Any, **options: Any) -> Any:
    block = mx.gluon.nn.HybridSequential()
    block.add(mx.gluon.nn.Dense(4, activation="relu", **options), mx.gluon.nn.Dropout(0.5), mx.gluon.nn.Dense(3))
    return block


def mixer(mx: Any) -> Any:
    """A block of two inputs, three outputs and a constant."""

    class Mixer(mx.gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                self.left, self.right = mx.gluon.nn.Dense(4), mx.gluon.nn.Dense(4)
                self.weights = self.params.get_constant("weights", mx.nd.array([1, 2, 3, 4]))

        def hybrid_forward(self, F, x, mask, weights):  # noqa: N803  # MXNet's signature
            mixed = F.broadcast_mul(self.left(x), weights) + self.right(mask)
            return mixed, [F.relu(mixed), F.sum(mixed, axis=1)]

    return Mixer()


def test_a_block_is_read_with_its_parameters_and_verified_as_mxnet_runs_it(mx):
    block = mx.gluon.model_zoo.vision.MobileNetV2(0.1, classes=5)
    block.initialize(mx.init.Xavier())
    arrays = drawn((2, 3, 32, 32))
    block(mx.nd.array(arrays[0]))
    model = graphkit.load(block, inputs=[(2, 3, 32, 32)])
    names = {value.name for kind in ("parameter", "buffer") for value in params.of_kind(model, kind)}
    assert names == set(block.collect_params())
    agrees(block, model, arrays)
    report = graphkit.verify(model, on=["mxnet"], backward=True)
    assert report.passed
    assert {check.right for check in report.checks} == {"mxnet (rewritten)"}


def test_shapes_that_wait_for_the_input_are_inferred_and_the_block_has_the_values_too(mx):
    block = dense(mx)
    block.initialize()
    model = graphkit.load(block, inputs=[(2, 6)])
    assert [value.name for value in model.graph.inputs] == ["data"]
    for value in params.of_kind(model, "parameter"):
        np.testing.assert_array_equal(value.const_value.numpy(), block.collect_params()[value.name].data().asnumpy())
    agrees(block, model, drawn((5, 6)))


def test_a_free_batch_is_enough_to_infer_shapes(mx):
    block = dense(mx)
    block.initialize()
    agrees(block, graphkit.load(block, inputs=[(None, 6)]), drawn((5, 6)))


def test_the_model_keeps_the_values_of_the_moment(mx):
    block = dense(mx, in_units=6)
    block.initialize()
    model = graphkit.load(block, inputs=[(2, 6)])
    name, parameter = next(iter(block.collect_params().items()))
    before = parameter.data().asnumpy()
    parameter.set_data(mx.nd.zeros(parameter.shape))
    np.testing.assert_array_equal(model.graph.initializers[name].const_value.numpy(), before)


def test_several_inputs_and_nested_outputs_are_in_order(mx):
    block = mixer(mx)
    block.initialize()
    model = graphkit.load(block, inputs=[(2, 5), (2, 3)])
    assert [value.name for value in model.graph.inputs] == ["data0", "data1"]
    assert len(model.graph.outputs) == 3
    (constant,) = [value for value in params.of_kind(model, "constant") if "weights" in value.name]
    np.testing.assert_array_equal(constant.const_value.numpy(), [1, 2, 3, 4])
    agrees(lambda *x: (lambda y: [y[0], *y[1]])(block(*x)), model, drawn((2, 5), (2, 3)))


def test_inputs_may_have_the_names_of_the_arguments(mx):
    block = mixer(mx)
    block.initialize()
    model = graphkit.load(block, inputs=["mask:2x3", "x:2x5"])
    assert [tuple(value.shape)[1] for value in model.graph.inputs] == [5, 3]
    with pytest.raises(FeedError, match="no input 'y'; its inputs are x, mask, in this order"):
        graphkit.load(block, inputs=["y:2x5", "mask:2x3"])


def test_lists_of_arrays_are_known_once_the_block_was_called(mx):
    class Cell(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x, states):  # noqa: ARG002, N803  # MXNet's signature
            return x + states[0], states[1] * 2

    block = Cell()
    shapes = [(2, 5)] * 3
    with pytest.raises(InputError, match=r"with 3 inputs: TypeError.*\(x, states\); if it takes lists.*hybridize\(\)"):
        graphkit.load(block, inputs=shapes)
    block.hybridize()
    arrays = drawn(*shapes)
    x, first, second = map(mx.nd.array, arrays)
    block(x, [first, second])
    agrees(lambda x, a, b: block(x, [a, b]), graphkit.load(block, inputs=shapes), arrays)
    with pytest.raises(FeedError, match="4 shapes are given, but Cell has 3 inputs: data0, data1, data2"):
        graphkit.load(block, inputs=[(2, 5)] * 4)


def test_a_block_that_was_called_needs_no_shapes(mx):
    block = mx.gluon.nn.Conv2D(4, 3)
    block.initialize()
    arrays = drawn((2, 3, 6, 6))
    block(mx.nd.array(arrays[0]))
    agrees(block, graphkit.load(block), arrays)


def test_a_sequence_of_hybrid_blocks_is_one(mx):
    block = mx.gluon.nn.Sequential()
    block.add(dense(mx), mx.gluon.nn.Dense(2))
    block.initialize()
    agrees(block, graphkit.load(block, inputs=[(2, 6)]), drawn((2, 6)))
    block.add(mx.gluon.nn.Lambda(lambda x: x * 2))
    with pytest.raises(InputError, match="Lambda in Sequential is a Block whose forward is Python"):
        graphkit.load(block, inputs=[(2, 6)])


def test_a_block_of_double_precision_is_read_so(mx):
    block = dense(mx, in_units=6)
    block.cast("float64")
    block.initialize()
    model = graphkit.load(block, inputs=[(2, 6)])
    assert str(model.graph.inputs[0].dtype) == "DOUBLE"
    assert {str(value.const_value.dtype) for value in params.of_kind(model, "parameter")} == {"DOUBLE"}


def test_a_sparse_parameter_is_read_whole(mx):
    block = mx.gluon.nn.HybridSequential()
    block.add(mx.gluon.nn.Embedding(7, 3, sparse_grad=True))
    block.initialize()
    model = graphkit.load(block, inputs=["data:2x4:int32"])
    (value,) = params.of_kind(model, "parameter")
    np.testing.assert_array_equal(value.const_value.numpy(), block[0].weight.data().asnumpy())


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ((), r"not initialised yet.*inputs=\[\(1, 3, 224, 224\)\]"),
        ([(2, 6), (2, 6)], "cannot trace HybridSequential with 2 inputs"),
    ],
)
def test_inputs_that_are_lacking_or_too_many_are_told(mx, inputs, told):
    block = dense(mx)
    block.initialize()
    with pytest.raises(InputError, match=told):
        graphkit.load(block, inputs=inputs)


def test_arguments_that_are_lacking_are_named(mx):
    with pytest.raises(InputError, match=r"with 1 input: TypeError:.*'mask'.*each array.*\(x, mask\)"):
        graphkit.load(mixer(mx), inputs=[(2, 5)])


def test_shapes_that_do_not_fit_are_told_in_mxnets_words(mx):
    block = mixer(mx)
    block.initialize()
    with pytest.raises(FeedError, match=r"Mixer does not take inputs of these shapes.*MXNet says: Error in"):
        graphkit.load(block, inputs=[(2, 5), (3, 3)])


def test_a_block_without_values_is_refused(mx):
    with pytest.raises(ParameterError, match=r"has no value: call its initialize\(\) or load_parameters"):
        graphkit.load(dense(mx), inputs=[(2, 6)])


def test_a_block_that_is_not_hybrid_is_refused(mx):
    class Plain(mx.gluon.Block):
        def forward(self, x):
            return x + 1

    with pytest.raises(InputError, match=r"Plain is a Block whose forward is Python.*Derive it from gluon.HybridBlock"):
        graphkit.load(Plain(), inputs=[(2, 6)])


def test_blocks_in_a_list_are_told_of(mx):
    class Lists(mx.gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [mx.gluon.nn.Dense(3)]

        def hybrid_forward(self, F, x):  # noqa: ARG002, N803  # MXNet's signature
            return self.layers[0](x)

    with pytest.raises(ParameterError, match=r"which collect_params\(\) does not list.*register_child"):
        graphkit.load(Lists(), inputs=[(2, 6)])


def perceptron(mx: Any) -> Any:
    hidden = mx.sym.BatchNorm(mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=3, name="fc"), name="bn")
    return mx.sym.SoftmaxOutput(hidden, name="softmax")


def test_a_symbol_is_read_with_given_parameters(mx, tmp_path):
    graph = perceptron(mx)
    shapes, _, states = graph.infer_shape(data=(2, 6))
    named = zip(graph.list_arguments(), shapes, strict=True)
    args = {name: mx.nd.random.normal(shape=shape) for name, shape in named if name not in ("data", "softmax_label")}
    aux = {name: mx.nd.ones(shape) for name, shape in zip(graph.list_auxiliary_states(), states, strict=True)}
    model = graphkit.load((graph, args, aux), inputs=[(2, 6)])
    assert {value.name for value in params.of_kind(model, "buffer")} == {"bn_moving_mean", "bn_moving_var"}
    assert graphkit.verify(model, on=["mxnet", "ort"]).passed
    mx.model.save_checkpoint(str(tmp_path / "net"), 0, graph, args, aux)
    loaded = graphkit.load(mx.model.load_checkpoint(str(tmp_path / "net"), 0), inputs=[(2, 6)])
    other = graphkit.load(graph, params=tmp_path / "net-0000.params", inputs=[(2, 6)])
    for same in (loaded, other):
        assert graphkit.verify(model, same, on=["ort"]).passed
    with pytest.raises(ParameterError, match=r"fc_weight.*no value.*\(symbol, arg_params, aux_params\)"):
        graphkit.load(graph, inputs=[(2, 6)])


def test_a_symbol_block_has_the_inputs_it_was_made_with(mx):
    inner = mx.gluon.nn.Dense(3, in_units=6)
    inner.initialize()
    image = mx.sym.var("image", dtype="float32")
    block = mx.gluon.SymbolBlock(inner(image), [image], params=inner.collect_params())
    model = graphkit.load(block, inputs=[(2, 6)])
    assert [value.name for value in model.graph.inputs] == ["image"]
    agrees(block, model, drawn((2, 6)))


def test_a_module_brings_its_shapes(mx):
    module = mx.mod.Module(perceptron(mx))
    with pytest.raises(InputError, match="once it is bound and initialised"):
        graphkit.load(module)
    module.bind([("data", (4, 6))], [("softmax_label", (4,))])
    module.init_params()
    model = graphkit.load(module)
    assert [(value.name, tuple(value.shape)[1:]) for value in model.graph.inputs] == [("data", (6,))]
    assert graphkit.verify(model, on=["mxnet", "ort"]).passed


@pytest.mark.parametrize("make", [dense, lambda mx: mx.mod.Module(perceptron(mx))])
def test_a_parameter_file_beside_an_object_that_has_its_own_is_refused(mx, make):
    with pytest.raises(InputError, match="has its own parameters"):
        graphkit.load(make(mx), params="x.params", inputs=[(2, 6)])


def test_other_objects_are_not_taken_for_mxnets(mx):
    recognises = frameworks()["mxnet"].recognises
    assert recognises(mx.sym.var("x"))
    for other in ((), (mx.sym.var("x"), {}), ("x", {}, {}), mx.nd.ones(2), object()):
        assert not recognises(other)


def test_mxnet_is_not_imported_to_look_at_an_object():
    code = (
        "import sys; from graphkit.frameworks.base import frameworks; "
        "assert not any(each.recognises(object()) for each in frameworks().values()); "
        "assert 'mxnet' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parameters_without_gradients_are_frozen_if_others_have_some(mx):
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(4, in_units=3), mx.gluon.nn.Dense(2, in_units=4))
    net.initialize()
    net[0].collect_params().setattr("grad_req", "null")
    model = graphkit.load(net, inputs=["2x3"])
    assert {value.name for value in params.of_kind(model, "buffer")} == set(net[0].collect_params())
    assert {value.name for value in params.of_kind(model, "parameter")} == set(net[1].collect_params())
    net.collect_params().setattr("grad_req", "null")
    assert {value.name for value in params.of_kind(graphkit.load(net, inputs=["2x3"]), "buffer")} == set()
