"""A small baseline, recorded of what a runtime gave that never ran."""

from __future__ import annotations

import numpy as np
from fakes import Fake, model

from graphkit.frameworks.base import Adam, Batch, Step
from graphkit.parity.conditions import Conditions
from graphkit.parity.inputs import draw_seeds
from graphkit.parity.recorder import Recorder
from graphkit.parity.samples import Sample
from graphkit.parity.sides import Pool, Side

__all__ = ["CONDITIONS", "SAMPLE", "Versioned", "Y", "batches", "cotangents", "feeds", "record", "side", "steps"]

CONDITIONS = Conditions(backward=True, taps=True, train_steps=2, rule=Adam(), loss="mse", seeds=(0, 3))
SAMPLE = Sample("seed 3", 3)
Y = np.arange(6, dtype=np.float32).reshape(2, 3)


class Versioned(Fake):
    def version(self) -> str:
        return f"{self.name} 1.0 (numpy)"


def side(name: str = "mxnet", dtype: str = "float32") -> Side:
    """A side that has run a sample."""
    found = Side(name, Versioned(name), True, Pool(model()), dtype)
    found.outputs, found.values = {"y": Y}, {"product": Y - 1, "sum": Y + 1}
    found.gradients = {"x": np.ones((2, 5), np.float32), "w": np.ones((5, 3), np.float32), "b": np.ones(3, np.float32)}
    found.slopes = {"sum": Y * 2}
    return found


def feeds(sample: Sample = SAMPLE) -> dict[str, np.ndarray]:
    return sample.feeds(model())


def cotangents(sample: Sample = SAMPLE) -> dict[str, np.ndarray]:
    return draw_seeds({"y": Y}, sample.seed)


def batches(*samples: Sample) -> list[Batch]:
    return [Batch(feeds(one), {"y": Y + one.seed}, {"y": 0.5}, 2.0) for one in samples]


def steps(count: int = 2) -> list[Step]:
    return [
        Step({"y": Y + at}, np.array(1.5 - at, np.float32), {"w": np.full((5, 3), at, np.float32)}, {}, bool(at))
        for at in range(count)
    ]


def record(path, of=None, conditions=CONDITIONS, samples=(SAMPLE,), **more):
    with Recorder(path, of or model(), conditions, title="net", environment={"graphkit": "9"}) as recorder:
        for sample in samples:
            recorder.add(sample, feeds(sample), [side()], cotangents(sample), ({"y": 1e-6}, {"w": 2e-6}), **more)
        recorder.train(SAMPLE, side(), batches(SAMPLE, SAMPLE.stand_in(1)), Adam())
        for step in steps():
            recorder.step(step)
        recorder.trained([{"y": 1e-5}, {"w": 3e-5}])
        recorder.save()
    return path
