"""Files of save_parameters, matched with symbols."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from realmxnet import mxnet

import graphkit
from graphkit.errors import ParameterError
from graphkit.frameworks.base import ReadOptions, runtimes
from graphkit.frameworks.mxnet import checkpoint, params, symbol
from graphkit.frameworks.mxnet.structural import match

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphkit.ops.mxgraph import MxModel

SHAPE = (2, 6, 9, 9)


class Saved:
    """A block, saved as a symbol and by ``save_parameters``."""

    def __init__(self, folder: Path, block: Any, *shapes: tuple[int, ...]) -> None:
        mx = mxnet()
        random = np.random.default_rng(0)
        self.feeds = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
        block.infer_shape(*map(mx.nd.array, self.feeds))
        block.initialize()
        self.values = {}
        for name, parameter in block.collect_params().items():
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1, parameter.shape)))
            self.values[name] = parameter.data().asnumpy()
        names = ["data"] if len(shapes) == 1 else [f"data{i}" for i in range(len(shapes))]
        outputs = block(*map(mx.sym.var, names))
        graph = outputs if not isinstance(outputs, list | tuple) else mx.sym.Group(list(outputs))
        self.symbol, self.file = folder / "net-symbol.json", folder / "net.params"
        self.symbol.write_text(graph.tojson())
        block.save_parameters(str(self.file))
        self.told: list[str] = []

    def read(self) -> MxModel:
        return checkpoint.read(self.symbol, ReadOptions(params=self.file, warn=self.told.append))

    def rename(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Save the file again with changed arrays."""
        params.write(self.file, change({name: np.array(array) for name, array in params.read(self.file).items()}))

    def check(self) -> None:
        """That each variable gets its own values."""
        mx = self.read()
        found = {**mx.args, **mx.aux}
        assert found.keys() == self.values.keys()
        for name, array in found.items():
            np.testing.assert_array_equal(array, self.values[name], err_msg=name)


@pytest.fixture
def nn() -> Any:
    return mxnet().gluon.nn


def chain(nn: Any, *layers: Any) -> Any:
    block = nn.HybridSequential()
    block.add(*layers)
    return block


@pytest.mark.parametrize(
    ("make", "doubtful"),
    [
        (lambda zoo: zoo.ResNetV1(zoo.BasicBlockV1, [2, 2], [4, 4, 8]), ""),
        (lambda zoo: zoo.ResNetV1(zoo.BottleneckV1, [2, 2, 2], [4, 8, 16, 32]), ""),
        (lambda zoo: zoo.ResNetV2(zoo.BasicBlockV2, [2, 2], [4, 4, 8]), ""),
        (lambda zoo: zoo.ResNetV2(zoo.BottleneckV2, [2, 2], [4, 8, 16]), "features.5.0.downsample.weight"),
        (lambda zoo: zoo.DenseNet(8, 4, [2, 2, 2, 2]), ""),
        (lambda zoo: zoo.MobileNetV2(0.1), ""),
        (lambda zoo: zoo.SqueezeNet("1.1"), ""),
    ],
)
def test_networks_get_their_own_parameters(tmp_path, make, doubtful):
    saved = Saved(tmp_path, make(mxnet().gluon.model_zoo.vision), (1, 3, 224, 224))
    saved.check()
    (told,) = saved.told
    assert "told apart by their order" in told
    assert ("only one sign" in told) is bool(doubtful)
    assert doubtful in told


def test_what_shapes_tell_apart_needs_no_warning(tmp_path, nn):
    saved = Saved(tmp_path, chain(nn, nn.Dense(5), nn.Dense(4), nn.Dense(3)), (2, 6))
    saved.check()
    assert not saved.told


def test_the_command_line_takes_such_a_file(tmp_path, nn):
    saved = Saved(tmp_path, chain(nn, nn.Conv2D(6, 3), nn.BatchNorm(), nn.Conv2D(6, 3), nn.BatchNorm()), SHAPE)
    model = graphkit.load(saved.symbol, params=saved.file, warn=saved.told.append)
    with runtimes()["mxnet"].open(model) as native, runtimes()["ort"].open(model, native=False) as converted:
        feeds = {"data": saved.feeds[0]}
        (left,), (right,) = native.forward(feeds).values(), converted.forward(feeds).values()
    np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)
    assert len(saved.told) == 1


def branches(nn: Any, swapped: bool) -> Any:
    """Two layers of one shape that run side by side, registered as they are made or the other way round."""
    gluon = mxnet().gluon

    class Branches(gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                left, right = nn.Dense(4, in_units=6), nn.Dense(4, in_units=6)
                if swapped:
                    self.right, self.left = right, left
                else:
                    self.left, self.right = left, right

        def hybrid_forward(self, F, x):  # noqa: ARG002, N803  # MXNet's signature
            return self.left(x) - self.right(x)

    return Branches()


def test_layers_side_by_side_are_named(tmp_path, nn):
    saved = Saved(tmp_path, branches(nn, swapped=False), (2, 6))
    saved.check()
    (told,) = saved.told
    assert "For 4 of them only one sign tells the order: 'left.weight' is taken for" in told


def test_a_swap_that_nothing_tells_is_at_least_told(tmp_path, nn):
    saved = Saved(tmp_path, branches(nn, swapped=True), (2, 6))
    saved.read()
    assert "'right.weight' is taken for 'branches" in saved.told[0]


def test_names_against_the_order_of_the_network_are_refused(tmp_path, nn):
    gluon = mxnet().gluon

    class Backwards(gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                self.last = nn.Dense(6, in_units=6)
                self.first = nn.Dense(6, in_units=6)

        def hybrid_forward(self, F, x):  # noqa: ARG002, N803  # MXNet's signature
            return self.last(self.first(x))

    saved = Saved(tmp_path, Backwards(), (2, 6))
    with pytest.raises(ParameterError, match=r"dense0_weight' first, as its name says, or for .*computes with before"):
        saved.read()


def test_layers_of_several_kinds_are_in_the_order_of_the_network(tmp_path, nn):
    saved = Saved(tmp_path, chain(nn, nn.BatchNorm(), nn.LayerNorm(axis=1), nn.InstanceNorm()), SHAPE)
    saved.check()
    assert "only one sign" not in saved.told[0]


def test_layers_of_several_kinds_in_attributes_are_named(tmp_path, nn):
    gluon = mxnet().gluon

    class Kinds(gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                self.below, self.above = nn.LayerNorm(in_channels=6), nn.InstanceNorm(in_channels=6)

        def hybrid_forward(self, F, x):  # noqa: ARG002, N803  # MXNet's signature
            return self.above(self.below(x))

    saved = Saved(tmp_path, Kinds(), (2, 6, 6))
    saved.check()
    assert "For 4 of them only one sign tells the order: 'below.gamma' is taken for" in saved.told[0]


@pytest.mark.parametrize("prefixes", [("left_", "right_"), ("fc2_", "fc1_"), ("a_left_", "a_right_")])
def test_blocks_with_the_names_of_their_attributes_are_told_apart_by_them(tmp_path, nn, prefixes):
    gluon = mxnet().gluon
    first, second = prefixes

    class Named(gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                left, right = nn.Dense(4, in_units=6, prefix=first), nn.Dense(4, in_units=6, prefix=second)
                setattr(self, second.strip("_").removeprefix("a_"), right)
                setattr(self, first.strip("_").removeprefix("a_"), left)
                self.names = first.strip("_").removeprefix("a_"), second.strip("_").removeprefix("a_")

        def hybrid_forward(self, F, x):  # noqa: ARG002, N803  # MXNet's signature
            return getattr(self, self.names[0])(x) - getattr(self, self.names[1])(x)

    saved = Saved(tmp_path, Named(), (2, 6))
    saved.check()
    assert "only one sign" not in saved.told[0]


def test_a_name_that_contradicts_the_order_is_refused(tmp_path, nn):
    gluon = mxnet().gluon

    class Crossed(gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                self.fc2, self.fc1 = nn.Dense(6, in_units=6, prefix="fc2_"), nn.Dense(6, in_units=6, prefix="fc1_")

        def hybrid_forward(self, F, x):  # noqa: ARG002, N803  # MXNet's signature
            return self.fc2(self.fc1(x))

    saved = Saved(tmp_path, Crossed(), (2, 6))
    with pytest.raises(
        ParameterError, match=r"by its place 'fc2.weight' \(6×6\) is for .*fc1_weight', and by its name"
    ):
        saved.read()


def test_layers_of_several_kinds_side_by_side_are_refused(tmp_path, nn):
    gluon = mxnet().gluon

    class Kinds(gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                self.left, self.right = nn.LayerNorm(in_channels=6), nn.InstanceNorm(in_channels=6)

        def hybrid_forward(self, F, x):  # noqa: ARG002, N803  # MXNet's signature
            return self.left(x) + self.right(x)

    saved = Saved(tmp_path, Kinds(), (2, 6, 6))
    with pytest.raises(ParameterError, match=r"'left.gamma' \(6\) .* are for .* first, which neither their names nor"):
        saved.read()


def test_equal_arrays_may_be_taken_for_each_other(tmp_path, nn):
    block = branches(nn, swapped=False)
    saved = Saved(tmp_path, block, (2, 6))
    saved.rename(lambda arrays: {name: np.ones_like(array) for name, array in arrays.items()})
    assert all((array == 1).all() for array in saved.read().args.values())
    assert not saved.told


def test_a_shared_parameter_stands_under_each_of_its_blocks(tmp_path, nn):
    first = nn.Dense(6, in_units=6)
    saved = Saved(
        tmp_path, chain(nn, first, nn.Dense(6, in_units=6, params=first.params), nn.Dense(6, in_units=6)), (2, 6)
    )
    assert len(params.read(saved.file).names or ()) == 6
    saved.check()


def test_recurrent_layers_get_their_own_parameters(tmp_path):
    rnn = mxnet().gluon.rnn
    mx = mxnet()

    class Stack(mx.gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                self.below = rnn.GRU(4, num_layers=2, input_size=4, bidirectional=True)
                self.above = rnn.GRU(4, num_layers=2, input_size=8, bidirectional=True)
                self.last = rnn.GRU(4, num_layers=2, input_size=8, bidirectional=True)

        def hybrid_forward(self, F, x):  # noqa: ARG002, N803  # MXNet's signature
            return self.last(self.above(self.below(x)))

    Saved(tmp_path, Stack(), (5, 2, 4)).check()


def test_parameters_of_ones_own_get_their_values(tmp_path):
    mx = mxnet()

    class Scale(mx.gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                self.factor = self.params.get("scale", shape=(1, 6))
                self.dense = mx.gluon.nn.Dense(6, in_units=6)

        def hybrid_forward(self, F, x, factor):  # noqa: N803  # MXNet's signature
            return F.broadcast_mul(self.dense(x), factor)

    Saved(tmp_path, Scale(), (2, 6)).check()


def test_files_of_save_params_have_the_names_without_their_prefix(tmp_path, nn):
    saved = Saved(tmp_path, branches(nn, swapped=True), (2, 6))
    prefix = next(iter(saved.values)).split("_")[0]
    arrays = {name.removeprefix(f"{prefix}_"): array for name, array in saved.values.items()}
    saved.rename(lambda _: arrays)
    saved.check()
    assert not saved.told


def test_the_prefix_of_another_instance_does_not_matter(tmp_path, nn):
    saved = Saved(tmp_path, branches(nn, swapped=True), (2, 6))
    prefix = next(iter(saved.values)).split("_")[0]
    saved.rename(lambda _: {name.replace(prefix, "branches77"): array for name, array in saved.values.items()})
    saved.check()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda arrays: dict(itertools.islice(arrays.items(), 3)), "3 arrays like|1 arrays like|nothing fits"),
        (lambda arrays: {**arrays, "extra.weight": np.ones((7, 7))}, r"'extra.weight' \(7×7\) fits none"),
        (lambda arrays: {**arrays, "2.weight": arrays["0.weight"] * 2}, r"3 arrays like '0.weight' \(6×6\) and 2 var"),
        (lambda arrays: dict(reversed(arrays.items())), "not in the order of the blocks"),
        (lambda arrays: {f"{name}.x": array for name, array in arrays.items()}, "no names that tell them apart"),
        (
            lambda arrays: {{"0.weight": "1.weight", "1.weight": "0.weight"}.get(k, k): v for k, v in arrays.items()},
            "not in the order of the blocks|are two blocks",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, nn, change, told):
    saved = Saved(tmp_path, chain(nn, nn.Dense(6, in_units=6), nn.Dense(6, in_units=6)), (2, 6))
    saved.rename(change)
    with pytest.raises(ParameterError, match=told):
        saved.read()


def test_inputs_need_no_array(tmp_path, nn):
    saved = Saved(tmp_path, chain(nn, nn.Dense(3, in_units=6)), (2, 6))
    graph = checkpoint.read(saved.symbol, ReadOptions(params=saved.file)).graph
    weight = next(name for name in saved.values if name.endswith("weight"))
    arrays = {"0.bias": np.zeros(3, np.float32)}
    assert list(match(graph, arrays, {weight}, "net.params").arrays) == [weight.replace("weight", "bias")]


def random_block(random: Random, depth: int, swapped: bool) -> Any:
    """Layers of one width in sequences and in blocks that run them in a row, side by side or in another order.

    Args:
        random: What draws them.
        depth: How many blocks deep they are at most.
        swapped: Whether blocks register layers in another order than they create them.
    """
    nn = mxnet().gluon.nn
    kind = random.random()
    if depth == 0 or kind < 0.25:
        makers = [lambda: nn.Dense(6, in_units=6, flatten=False), lambda: nn.BatchNorm(axis=-1, in_channels=6)]
        return random.choice([makers[0], *makers, lambda: nn.LayerNorm(in_channels=6)])()
    if kind < 0.6:
        block = nn.HybridSequential(prefix=random.choice(["", None]))
        with block.name_scope():
            block.add(*(random_block(random, depth - 1, swapped) for _ in range(random.randint(1, 3))))
        return block

    class Block(mxnet().gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            with self.name_scope():
                made = dict(zip("abc", [random_block(random, depth - 1, swapped) for _ in range(3)], strict=True))
            self.beside, self.run = random.random() < 0.3, random.sample("abc", 3) if random.random() < 0.3 else "abc"
            for name in random.sample("abc", 3) if swapped else "abc":
                setattr(self, name, made[name])

        def hybrid_forward(self, F, x):  # noqa: ARG002, N803  # MXNet's signature
            first, second, third = (getattr(self, name) for name in self.run)
            return first(x) + third(second(x)) if self.beside else third(second(first(x)))

    return Block()


@pytest.mark.parametrize("swapped", [False, True])
def test_no_array_gets_a_wrong_name_unless_it_is_named_as_doubtful(tmp_path, swapped):
    mx = mxnet()
    outcomes: Counter[str] = Counter()
    for seed in range(60):
        block = random_block(Random(f"{seed} {swapped}"), 3, swapped)
        block.initialize(mx.init.Normal(1))
        values = {name: mx.nd.random.normal(shape=each.shape) for name, each in block.collect_params().items()}
        for name, each in block.collect_params().items():
            each.set_data(values[name])
        block.save_parameters(str(tmp_path / "net.params"))
        saved, _ = params.load_checkpoint_params(tmp_path / "net.params")
        graph = symbol.loads(block(mx.sym.var("data")).tojson())
        try:
            matched = match(graph, saved, (), "net.params")
        except ParameterError:
            outcomes["refused"] += 1
            continue
        assert matched.arrays.keys() == values.keys()
        wrong = {name for name, array in matched.arrays.items() if not np.array_equal(array, values[name].asnumpy())}
        assert wrong <= matched.doubtful.keys()
        outcomes["wrong" if wrong else "right"] += 1
    assert outcomes["right"] > 10
    assert outcomes["refused"] > 5
    assert outcomes["wrong"] or not swapped
