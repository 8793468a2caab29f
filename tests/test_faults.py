"""Single faults that are planted in networks: verify sees them, and bisect names the node."""

from __future__ import annotations

import warnings

import pytest
from faulted import form, source, spoilt
from faults import FAULTS

import graphkit
from graphkit.parity.bisect import bisect

FILES = [
    ("segmenter", "padding on the other side", "onnx"),
    ("segmenter", "epsilon doubled", "renamed"),
    ("segmenter", "missing activation", "mxnet"),
    ("transformer", "one wrong element of a weight", "renamed"),
    ("transformer", "wrong scale of attention", "onnx"),
    ("transformer", "swapped query and key", "mxnet"),
    ("transformer", "missing sum", "renamed"),
    ("recurrent", "gates in another order", "onnx"),
    ("recurrent", "swapped inputs", "mxnet"),
]
"""Network, fault, and the file in which it is met."""
CONVERTED = [
    ("segmenter", "swapped mean and variance"),
    ("segmenter", "padding counted in averages"),
    ("segmenter", "another value of the same shape"),
    ("transformer", "swapped query and key"),
    ("recurrent", "swapped inputs"),
]
"""Network and fault of a model that still knows its source."""


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what writers tell of a network is not what is tested
        yield


def suspects(found):
    """Of each side that differs, the names of the nodes that are suspected, in sets."""
    differing = [finding for finding in found.findings if finding.first is not None]
    assert differing
    return [[{node.name for node in suspect.nodes} for suspect in finding.suspects] for finding in differing]


def assert_named(found, meant):
    for told in suspects(found):
        assert told
        assert all(nodes <= meant for nodes in told), f"meant {sorted(meant)}, told {told}"


@pytest.mark.mxnet
@pytest.mark.parametrize(("network", "fault", "kind"), FILES)
def test_a_fault_in_a_file_is_seen_and_its_node_named(network, fault, kind):
    model, nodes = spoilt(network, fault)
    met, meant = form(model, kind, nodes)
    assert not graphkit.verify(source(network), met).passed
    assert_named(bisect(source(network), met), meant)


@pytest.mark.mxnet
@pytest.mark.parametrize(("network", "fault"), CONVERTED)
def test_a_fault_of_a_conversion_is_seen_against_the_source_and_its_node_named(network, fault):
    model, nodes = spoilt(network, fault)
    assert not graphkit.verify(model, on=["torch", "mxnet"]).passed
    assert_named(bisect(model, on=["torch", "mxnet"], backward=True), set(nodes))


def test_a_gradient_that_stops_where_values_are_right_is_seen_and_its_node_named():
    model, nodes = spoilt("segmenter", "no gradient")
    assert graphkit.verify(model, on=["torch"]).passed
    assert not graphkit.verify(model, on=["torch"], backward=True).passed
    assert bisect(model, on=["torch"]).passed
    assert_named(bisect(model, on=["torch"], backward=True), set(nodes))


def test_statistics_that_move_otherwise_are_seen_after_a_step_and_their_node_named():
    model, nodes = spoilt("segmenter", "wrong momentum")
    assert graphkit.verify(model, on=["torch"], mode="train", backward=True).passed
    assert not graphkit.verify(model, on=["torch"], train_steps=1).passed
    found = bisect(model, on=["torch"], train_steps=1)
    assert_named(found, set(nodes))
    assert {suspect.direction for finding in found.findings for suspect in finding.suspects} == {"training"}


@pytest.mark.parametrize("network", ["segmenter", "transformer"])
def test_nothing_is_found_in_a_sound_file(network):
    model = source(network)
    met, _ = form(model, "renamed", [])
    assert bisect(model, met).passed


def test_every_kind_of_fault_has_a_place_in_some_network():
    networks = ("segmenter", "transformer", "recurrent", "mobilenet")
    assert [fault for fault in FAULTS if not any(spoilt(network, fault) for network in networks)] == []
