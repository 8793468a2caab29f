"""Branches and loops of torch, nested in each other, as ONNX, as source for torch and as symbols of the real MXNet."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
import torch
from realmxnet import mxnet
from torch import cond, nn
from torch._higher_order_ops import map as each_row
from torch._higher_order_ops import scan, while_loop

from graphkit import load
from graphkit.errors import InputError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.edit import nodes_of
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    Arrays = dict[str, np.ndarray]


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.w = nn.Parameter(torch.randn(3, 3) / 2)


class Chosen(Part):
    """A branch in a branch; each reads what the other does not, makes a tensor, and gives integers and truth values."""

    def forward(self, x: Any) -> Any:
        def inner(x: Any) -> Any:
            flag = x.amax(1) > 1
            return cond(
                x.max() > 1,
                lambda x: (x + torch.tensor([1.0, 2.0, 0.1]), x.argmax(1), flag.clone()),
                lambda x: (x @ self.w, x.argmin(1), ~flag),
                (x,),
            )

        return cond(x.sum() > 0, inner, lambda x: (self.fc(x) * 0.1, x.argmin(1), x[:, 0] > 0), (x,))


class Turned(Part):
    """A branch in a loop in a loop; a truth value is carried."""

    def forward(self, x: Any) -> Any:
        def turn(i: Any, _: Any, y: Any) -> Any:
            def inner(j: Any, z: Any) -> Any:
                return j + 1, cond(j % 2 == 0, lambda z: self.fc(z).tanh(), lambda z: z * 0.7 - z @ self.w, (z,))

            y = while_loop(lambda j, _: j < 2, inner, (torch.zeros((), dtype=torch.int64), y))[1]
            return i + 1, y.abs().sum() < 50, y

        return while_loop(lambda i, going, _: going & (i < 4), turn, (torch.tensor(0), torch.tensor(True), x))[2]


class Scanned(Part):
    """A loop that carries a Python integer and a branch in a scan, whose step reads a tensor from outside."""

    def forward(self, x: Any, h: Any) -> Any:
        memory = x.sum(0)

        def step(carried: Any, row: Any) -> Any:
            count, h = carried
            h = while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, torch.tanh(self.fc(y) + row)), (0, h))[1]
            h = cond(row.sum() > 0, lambda h: h @ self.w + memory, lambda h: h.sin(), (h,))
            return (count + 1, h), {"h": h.clone(), "count": count * 2}

        return scan(step, (torch.tensor(0), h), x, reverse=True)


class Mapped(Part):
    """A map over two tensors that reads a computed one."""

    def forward(self, x: Any, y: Any) -> Any:
        first = x[0] * 2
        return each_row(lambda rows: (self.fc(rows[0]) + rows[1] + first, rows[1] @ self.w), (x, y))


class Normed(nn.Module):
    """A branch of layers, one of which has states."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 2, 3, padding=1), nn.BatchNorm1d(2)
        self.norm.running_mean.normal_()  # type: ignore[union-attr]  # it has one

    def forward(self, x: Any) -> Any:
        return cond(x.sum() > 0, lambda x: self.norm(self.conv(x)).relu(), lambda x: x.exp(), (x,))


def drawn(seed: int, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for shape in shapes]


MODULES: Final[dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]]] = {
    "branch": (Chosen, ((2, 3),)),
    "loop": (Turned, ((2, 3),)),
    "scan": (Scanned, ((3, 2, 3), (2, 3))),
    "map": (Mapped, ((3, 2, 3), (3, 2, 3))),
    "layers": (Normed, ((2, 2, 4),)),
}


SINGLE: Final = ("layers",)
"""Those with operators that ONNX Runtime computes in float32 only."""


@cache
def model_of(name: str) -> tuple[nn.Module, ir.Model]:
    torch.manual_seed(5)
    make, shapes = MODULES[name]
    module = make().eval()
    return module, load(module, inputs=drawn(0, *shapes), dynamic_batch=False)


def run(model: ir.Model, runtime: str, feeds: Arrays) -> tuple[Arrays, Arrays]:
    rng = np.random.default_rng(1)
    with runtimes()[runtime].open(model, native=False) as session:
        outputs = session.forward(feeds)
        floats = {name: array for name, array in outputs.items() if array.dtype.kind == "f"}
        return outputs, session.backward(feeds, {name: rng.standard_normal(a.shape) for name, a in floats.items()})


def assert_equal(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        atol = 1e-9 * max(float(np.abs(array).max(initial=0)), 1e-3) if array.dtype.kind == "f" else 0
        np.testing.assert_allclose(found[name], array, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("name", MODULES)
def test_bodies_in_bodies_compute_what_torch_does_and_agree_on_gradients(name: str) -> None:
    module, model = model_of(name)
    wide = cast_floats(model, "float64")
    for seed in (1, 2):
        inputs = [tensor.double() for tensor in drawn(seed, *MODULES[name][1])]
        feeds = {value.name or "": tensor.numpy() for value, tensor in zip(model.graph.inputs, inputs, strict=True)}
        outputs, gradients = run(wide, "torch", feeds)
        with runtimes()["torch"].open(wide) as session:
            assert_equal(outputs, session.forward(feeds))
        assert set(gradients) >= {parameter for parameter, _ in module.named_parameters()}
        for runtime in ("mxnet", "ort") if mxnet() and name not in SINGLE else ("mxnet",):
            for left, right in zip(run(wide, runtime, feeds), (outputs, gradients), strict=True):
                assert_equal(left, right)


def test_a_loop_in_a_loop_has_the_gradients_of_the_same_loops_in_python() -> None:
    torch.manual_seed(5)
    part = Part().double()

    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = part.fc

        def forward(self, x: Any) -> Any:
            def turn(i: Any, y: Any) -> Any:
                zero = torch.zeros((), dtype=torch.int64)
                return i + 1, while_loop(lambda j, _: j < i, lambda j, z: (j + 1, self.fc(z).tanh()), (zero, y))[1] * 2

            return while_loop(lambda i, _: i < 3, turn, (torch.tensor(0), x))[1]

    (x,) = (tensor.double() for tensor in drawn(1, (2, 3)))
    model = load(Nested(), inputs=[x])
    y = x
    for turns in range(3):
        for _ in range(turns):
            y = part.fc(y).tanh()
        y = y * 2
    (expected,) = torch.autograd.grad(y.sum(), [part.fc.weight])
    (given,), (result,) = model.graph.inputs, model.graph.outputs
    with runtimes()["torch"].open(model, native=False) as session:
        found = session.backward({given.name or "": x.numpy()}, {result.name or "": np.ones((2, 3))})
    np.testing.assert_allclose(found["fc.weight"], expected.numpy(), rtol=1e-12)


def test_a_free_batch_passes_bodies() -> None:
    torch.manual_seed(5)
    model = load(Mapped().eval(), inputs={"x": (3, None, 3), "y": (3, None, 3)}, dynamic_batch=False)
    for batch in (1, 4):
        x, y = (tensor.numpy() for tensor in drawn(batch, (3, batch, 3), (3, batch, 3)))
        found = []
        for runtime in ("torch", "ort", "mxnet"):
            with runtimes()[runtime].open(model, native=False) as session:
                found.append(session.forward({"x": x, "y": y}))
        for other in found[1:]:
            for name, array in found[0].items():
                np.testing.assert_allclose(other[name], array, rtol=1e-5, atol=1e-5)


def test_an_operator_in_a_body_without_a_translation_is_named() -> None:
    class Odd(nn.Module):
        def forward(self, x: Any) -> Any:
            return cond(x.sum() > 0, lambda x: torch.linalg.eigvals(x).real + x, lambda x: x * 2, (x,))

    with pytest.raises(UnsupportedError, match=r"aten.linalg_eig.*test_nested.py:\d+, in"):
        load(Odd(), inputs=[(3, 3)], dynamic_batch=False)


def test_a_body_that_gives_what_it_is_given_is_refused_with_what_to_do() -> None:
    class Same(nn.Module):
        def forward(self, x: Any) -> Any:
            return cond(x.sum() > 0, lambda x: x, lambda x: x * 2, (x,))

    with pytest.raises(InputError, match=r"test_nested.py:\d+, in .*Give a copy \(x.clone\(\)\) instead"):
        load(Same(), inputs=[(3, 3)])


def test_bodies_become_bodies_of_onnx() -> None:
    _, model = model_of("loop")
    assert [node.op_type for node in nodes_of(model) if node.op_type in ("If", "Loop", "Scan")] == [
        "Loop",
        "Loop",
        "If",
    ]
