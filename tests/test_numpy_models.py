"""Gluon models of MXNet's NumPy interface, as recent books write them, against MXNet itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from realmxnet import mxnet

import graphkit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphkit.report.report import Report

pytest.importorskip("torch")
pytestmark = pytest.mark.mxnet


def residual(mx: Any) -> Any:
    nn = mx.gluon.nn

    class Residual(nn.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2D(4, 3, padding=1, strides=2), nn.Conv2D(4, 3, padding=1)
            self.across = nn.Conv2D(4, 1, strides=2)
            self.norms = nn.BatchNorm(), nn.BatchNorm()
            self.register_child(self.norms[0])
            self.register_child(self.norms[1])

        def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803 - MXNet's name
            y = F.npx.relu(self.norms[0](self.first(x)))
            return F.npx.relu(self.norms[1](self.second(y)) + self.across(x))

    net = nn.HybridSequential()
    net.add(Residual(), nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(5))
    return net


def attention(mx: Any) -> Any:
    """Attention of two heads to what comes before, with positions added to what it reads."""
    nn = mx.gluon.nn

    class Attention(nn.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [nn.Dense(8, flatten=False, use_bias=False) for _ in range(3)]
            for part in self.parts:
                self.register_child(part)
            self.out, self.norm = nn.Dense(8, flatten=False), nn.LayerNorm()

        def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803 - MXNet's name
            place = F.np.arange(5).reshape(-1, 1) / F.np.power(10000, F.np.arange(0, 8, 2) / 8)
            x = x + F.np.concatenate([F.np.sin(place), F.np.cos(place)], axis=-1)
            query, key, value = (self.split(F, part(x)) for part in self.parts)
            scores = F.npx.batch_dot(query, key, transpose_b=True) / math.sqrt(4)
            scores = F.np.where(F.np.tril(F.np.ones((5, 5))) > 0, scores, -1e6 * F.np.ones((1,)))
            read = F.npx.reshape(F.npx.batch_dot(F.npx.softmax(scores, axis=-1), value), (-6, -1, 2, -4))
            return self.norm(self.out(F.npx.reshape(F.np.swapaxes(read, 1, 2), (-2, -2, -5))) + x)

        def split(self, F: Any, x: Any) -> Any:  # noqa: N803 - MXNet's name
            heads = F.np.swapaxes(F.npx.reshape(x, (-2, -2, -6, 2, -1)), 1, 2)
            return F.npx.reshape(heads, (-5, -2, -2))

    return Attention()


def numbers(mx: Any) -> Any:
    """Losses and statistics as they are written by hand."""

    class Numbers(mx.gluon.nn.HybridBlock):
        def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803 - MXNet's name
            mean, spread = F.np.split(x, 2, axis=-1)
            divergence = -0.5 * F.np.sum(1 + spread - mean**2 - F.np.exp(spread), axis=-1)
            products = F.np.einsum("bij,bkj->bik", mean, spread)
            distance = F.np.linalg.norm(x, axis=-1) + F.np.max(products, axis=-1)
            return (
                divergence,
                F.np.mean(F.np.square(x)),
                distance,
                F.np.argmax(x, axis=-1),
                F.np.tensordot(x, x, axes=3),
            )

    return Numbers()


MODELS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "residual": (residual, "2x3x8x8"),
    "attention": (attention, "2x5x8"),
    "numbers": (numbers, "2x3x4"),
}


def failures(report: Report) -> list[str]:
    failed = [check for check in report.checks if check.verdict != "pass"]
    return [f"{check.what} on {check.right}: {check.error:.3g} > {check.tol:.3g} {check.note}" for check in failed]


def exported(name: str, folder: Path) -> Path:
    mx = mxnet()
    make, shape = MODELS[name]
    with mx.util.np_shape(True), mx.util.np_array(True):
        net = make(mx)
        net.initialize(mx.init.Xavier())
        net.hybridize()
        net(mx.np.zeros([int(size) for size in shape.split("x")]))
        net.export(str(folder / name))
    return folder / f"{name}-symbol.json"


@pytest.mark.parametrize("name", list(MODELS))
def test_models_of_the_numpy_interface_agree_in_float64(name: str, tmp_path: Path) -> None:
    model = graphkit.load(exported(name, tmp_path), inputs=[MODELS[name][1]])
    report = graphkit.verify(model, on=("mxnet", "torch"), backward=True, dtype="float64", inputs=[MODELS[name][1]])
    assert failures(report) == []
    assert {"output", "input gradient"} <= {check.kind for check in report.checks}
    assert all(check.tol <= 1e-9 for check in report.checks)


@pytest.mark.parametrize("name", ["residual", "attention"])
def test_their_batch_stays_free(name: str, tmp_path: Path) -> None:
    symbol = exported(name, tmp_path)
    model = graphkit.load(symbol, inputs=[MODELS[name][1]])
    other = "3" + MODELS[name][1][1:]
    assert failures(graphkit.verify(model, on=("mxnet", "torch", "ort"), inputs=[other])) == []
