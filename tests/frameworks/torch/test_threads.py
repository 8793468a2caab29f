"""Threads that torch computes on: those asked for, while a session runs and no longer."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import model

from graphkit.errors import FeedError
from graphkit.frameworks.base import Batch, Execution, Sgd, runtimes
from graphkit.frameworks.convert import load

torch = pytest.importorskip("torch")

TORCH = runtimes()["torch"]
X = {"x": np.ones((2, 5), np.float32)}


class Net(torch.nn.Module):
    """One layer, which notes on how many threads it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


@pytest.fixture(params=["converted", "source"])
def session(request, monkeypatch):
    """A session that is to run on three threads, and the numbers of threads that it set."""
    source = model() if request.param == "converted" else load(Net().eval(), inputs=[(2, 5)])
    numbers: list[int] = []
    change = torch.set_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda number: (numbers.append(number), change(number)))
    before = torch.get_num_threads()
    with TORCH.open(source, mode="train-no-dropout", execution=Execution(before + 2)) as opened:
        yield opened, numbers, before
    assert torch.get_num_threads() == before


def _seeds(opened):
    return {name: np.ones_like(array) for name, array in opened.forward(X).items()}


def test_every_pass_sets_and_restores_them(session):
    opened, numbers, before = session
    seeds = _seeds(opened)
    assert numbers == [before + 2, before]
    opened.backward(X, seeds)
    assert numbers == [before + 2, before] * 2


def test_between_two_steps_of_training_the_caller_has_its_own(session):
    opened, numbers, before = session
    targets = _seeds(opened)
    numbers.clear()
    batch = Batch(X, targets, dict.fromkeys(targets, 1.0))
    for _ in opened.train([batch, batch], Sgd()):
        assert torch.get_num_threads() == before
    assert numbers == [before + 2, before] * 3


def test_a_refused_call_restores_them(session):
    opened, _, before = session
    with pytest.raises(FeedError):
        opened.backward(X, {"other": X["x"]})
    assert torch.get_num_threads() == before


def test_nothing_is_set_where_nothing_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda _number: pytest.fail("it was set"))
    with TORCH.open(model()) as opened:
        opened.forward(X)
