"""Losses of connectionist temporal classification in modules, with labels and lengths as people give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import graphkit
from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    import onnx_ir as ir

ROWS = np.array([[1, 2, 2], [3, 1, 0], [4, 1, 0]])
FLAT = np.array([1, 2, 2, 3, 1, 4])
COUNTS = np.array([3, 2, 1])
SHAPES = ["x:?x?x4", "labels:?x?:int64", "lengths:?:int64", "counts:?:int64"]


class Recogniser(nn.Module):
    """The loss of characters that frames stand for."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(4, 5)
        self.loss = nn.CTCLoss(**options)

    def forward(
        self, x: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        found: torch.Tensor = self.loss(self.head(x).log_softmax(-1).transpose(0, 1), labels, lengths, counts)
        return found


class Fixed(Recogniser):
    """All frames of all examples count; lengths are lists."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:  # type: ignore[override]  # fewer inputs
        logs = torch.log_softmax(self.head(x), 2).permute(1, 0, 2)
        found: torch.Tensor = self.loss(logs, labels, [logs.shape[0]] * logs.shape[1], (3, 2, 1))
        return found


class Unnormalised(Recogniser):
    """Forgets the softmax."""

    def forward(
        self, x: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        found: torch.Tensor = self.loss(self.head(x).transpose(0, 1), labels, lengths, counts)
        return found


def feeds_of(labels: np.ndarray, lengths: list[int] | None) -> dict[str, np.ndarray]:
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 6, 4)), "labels": labels}
    return feeds if lengths is None else {**feeds, "lengths": np.array(lengths), "counts": COUNTS}


def expect_torchs_numbers(network: nn.Module, model: ir.Model, feeds: dict[str, np.ndarray]) -> None:
    double = cast_floats(model, "float64")
    loss = network.double()(*(torch.tensor(array) for array in feeds.values()))
    loss.sum().backward()
    for name in ("torch", "reference"):
        with runtimes()[name].open(double, native=False) as session:
            (found,) = session.forward(feeds).items()
            gradients = session.backward(feeds, {found[0]: np.ones_like(found[1])})
        np.testing.assert_allclose(found[1], loss.detach(), atol=1e-12)
        if not torch.isfinite(loss).all():
            continue
        for key, parameter in network.named_parameters():
            np.testing.assert_allclose(gradients[key], parameter.grad, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "labels", "lengths"),
    [
        ({}, ROWS, [6, 4, 5]),
        (
            {"reduction": "sum", "blank": 4, "zero_infinity": True},
            np.array([[1, 2, 2], [3, 1, 0], [0, 1, 0]]),
            [3, 4, 5],
        ),
        ({"reduction": "none"}, ROWS, [3, 4, 5]),
        ({}, FLAT, [6, 4, 5]),
    ],
    ids=["mean", "no loss where nothing fits", "infinite where nothing fits", "one after the other"],
)
def test_losses_of_any_number_of_frames_and_labels_are_torchs(
    options: dict[str, Any], labels: np.ndarray, lengths: list[int]
) -> None:
    network = Recogniser(**options)
    shapes = SHAPES if labels.ndim == 2 else [SHAPES[0], "labels:?:int64", *SHAPES[2:]]
    expect_torchs_numbers(network, graphkit.load(network, inputs=shapes), feeds_of(labels, lengths))


def test_lengths_may_be_numbers() -> None:
    network = Fixed()
    model = graphkit.load(network, inputs=["x:3x6x4", "labels:6:int64"], dynamic_batch=False)
    expect_torchs_numbers(network, model, feeds_of(FLAT, None))


@pytest.mark.mxnet
def test_mxnet_computes_the_loss() -> None:
    model = graphkit.load(Recogniser(), inputs=SHAPES)
    feeds = {
        name: array.astype(np.float32) if name == "x" else array for name, array in feeds_of(ROWS, [6, 4, 5]).items()
    }
    found = []
    for name, native in (("torch", True), ("mxnet", False)):
        with runtimes()[name].open(model, native=native) as session:
            found.append(next(iter(session.forward(feeds).values())))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_a_loss_of_what_is_no_softmax_is_refused_with_the_line() -> None:
    with pytest.raises(UnsupportedError, match=r"apply F\.log_softmax\(x, -1\).*test_ctc\.py:\d+"):
        graphkit.load(Unnormalised(), inputs=SHAPES)
