"""Single faults planted in networks are found as exactly that, in files in which nothing keeps its name too."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from graphkit.inspecting.difference.diff import compare

if TYPE_CHECKING:
    from types import ModuleType

    from graphkit.inspecting.difference.difference import Difference

NETWORKS = ("resnet", "transformer")
CHANGED = {"nodes changed": 1}
REWIRED = {"nodes rewired": 1}
REPLACED = {"nodes replaced": 1}
REMOVED = {"nodes removed": 1}
ADDED = {"nodes added": 1}
NUMBERS = {"parameters changed": 1}
WANTED = {
    "padding on the other side": CHANGED,
    "dilation and padding of two": CHANGED,
    "two groups instead of one": CHANGED | NUMBERS,
    "padding counted in averages": CHANGED,
    "wrong epsilon": CHANGED,
    "epsilon doubled": CHANGED,
    "wrong momentum": CHANGED,
    "wrong slope": CHANGED,
    "softmax over another axis": CHANGED,
    "other order of equal axes": CHANGED,
    "matrix not transposed": CHANGED,
    "wrong factor of a product": CHANGED,
    "wrong scale of attention": CHANGED,
    "causal attention": CHANGED,
    "other interpolation": CHANGED,
    "other coordinates of pixels": CHANGED,
    "reset before the product": CHANGED,
    "backward in time": CHANGED,
    "lower ceiling": CHANGED,
    "index off by one": CHANGED,
    "other formula of GELU": CHANGED,
    "swapped inputs": REWIRED,
    "swapped parts of a concatenation": REWIRED,
    "swapped query and key": REWIRED,
    "swapped scale and shift": REWIRED,
    "swapped mean and variance": {"parameters changed": 2},
    "another value of the same shape": REWIRED,
    "missing activation": REMOVED,
    "missing normalisation": REMOVED,
    "missing sum": REMOVED,
    "other activation": REPLACED,
    "other kind of pooling": REPLACED,
    "maximum instead of mean of the image": REPLACED,
    "layer run twice": ADDED,
    "rounded to half precision": {"nodes added": 2},
    "equal axes swapped": ADDED,
    "a factor too much": ADDED,
    "no gradient": ADDED,
    "one wrong element of a weight": NUMBERS,
    "weight a thousandth too large": NUMBERS,
    "weight rounded to half precision": NUMBERS,
    "transposed weight": NUMBERS,
    "flipped kernel": NUMBERS,
    "channels the other way round": NUMBERS,
    "bias doubled": NUMBERS,
    "gates in another order": NUMBERS,
    "missing bias": CHANGED | {"parameters removed": 1},
}
"""What each fault is, by its name."""


def counted(found: Difference) -> dict[str, int]:
    return {what: number for what, number in found.counts().items() if number}


@pytest.fixture
def faulted() -> ModuleType:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    return importlib.import_module("faulted")


@pytest.mark.parametrize("network", NETWORKS)
def test_a_fault_is_told_as_what_it_is_and_nothing_else(faulted, network):
    planted, wrong = 0, {}
    source = faulted.source(network)
    for fault, wanted in WANTED.items():
        made = faulted.spoilt(network, fault)
        if made is None:
            continue
        planted += 1
        there, back = counted(compare(source, made[0])), counted(compare(made[0], source))
        kept = {
            what: number for what, number in there.items() if what != "parameters removed" or "removed" not in fault
        }
        if fault == "missing normalisation":
            assert kept.pop("parameters removed") in (2, 4)
        mirrored = {
            what.replace("added", "x").replace("removed", "added").replace("x", "removed"): number
            for what, number in back.items()
        }
        if kept != wanted or mirrored != there:
            wrong[fault] = (there, back)
    assert planted >= 20
    assert wrong == {}


def test_every_kind_of_fault_is_known():
    pytest.importorskip("torch")
    assert set(importlib.import_module("faults").FAULTS) == set(WANTED)


@pytest.mark.parametrize(
    "fault", ["wrong epsilon", "swapped scale and shift", "missing activation", "transposed weight"]
)
def test_a_fault_is_told_where_everything_is_called_otherwise(faulted, fault):
    source = faulted.source("resnet")
    model, nodes = faulted.spoilt("resnet", fault)
    other, _ = faulted.form(model, "renamed", nodes)
    assert counted(compare(source, other, ignore=["names"])) == WANTED[fault]


@pytest.mark.parametrize("fault", ["wrong epsilon", "other activation", "weight a thousandth too large"])
def test_a_fault_is_told_across_frameworks(faulted, fault):
    source = faulted.source("resnet")
    model, nodes = faulted.spoilt("resnet", fault)
    other, _ = faulted.form(model, "mxnet", nodes)
    assert counted(compare(source, other, ignore=["names"])) == WANTED[fault]
