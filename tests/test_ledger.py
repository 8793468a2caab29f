"""Every operator is converted to everything, or the ledger says why not."""

from __future__ import annotations

import pytest

from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.support import Support, support
from graphkit.ops import ledger

GROUPS = {"core": 219, "contrib": 38, "linalg": 17, "image": 15, "control flow": 3, "random": 32, "numpy": 180}
"""Least number of MXNet's operators of each group that are read."""


@pytest.mark.parametrize("framework", ["mxnet", "onnx"])
def test_what_is_not_converted_has_its_reason_in_the_ledger(framework: str) -> None:
    noted = set(ledger.MXNET) if framework == "mxnet" else {f"{d}:{n}" if d else n for d, n in ledger.ONNX}
    rows = {row.operator: row for row in support(framework)}
    assert {name for name, row in rows.items() if row.reason} == noted
    assert not [name for name, row in rows.items() if row.reason == "graphkit does not know it"]


def test_reasons_are_clauses() -> None:
    for reason in (*ledger.MXNET.values(), *ledger.ONNX.values()):
        assert not reason.endswith(".")
        assert reason[:1].islower() or reason.startswith(("MXNet", "ONNX", "Python"))


def group(name: str) -> str:
    """A group of MXNet's operators, by how their names begin."""
    starts = {
        "_backward": "other",
        "_contrib_dgl": "other",
        "_contrib_edge_id": "other",
        "_contrib_getnnz": "other",
        "_contrib_quantize": "other",
        "_contrib_requantize": "other",
        "_contrib_dequantize": "other",
        "_contrib_calibrate": "other",
        "_contrib": "contrib",
        "_linalg": "linalg",
        "_image": "image",
        "_foreach": "control flow",
        "_while_loop": "control flow",
        "_cond": "control flow",
        "_random": "random",
        "_sample": "random",
        "_shuffle": "random",
        "_np": "numpy",
        "_sg_mkldnn": "other",
    }
    return next((found for start, found in starts.items() if name.startswith(start)), "core")


def test_as_many_operators_of_mxnet_are_read_as_before() -> None:
    read = [row.operator for row in support("mxnet") if row.becomes]
    counts = {name: sum(group(operator) == name for operator in read) for name in GROUPS}
    assert {name: count for name, count in counts.items() if count < GROUPS[name]} == {}


def test_operators_are_found_by_other_names() -> None:
    (found,) = [row for row in support("mxnet", "stop_gradient") if row.operator == "BlockGrad"]
    assert isinstance(found, Support)
    assert set(schema.operators()) >= {row.operator for row in support("mxnet")}


def test_a_room_is_named_once() -> None:
    rooms = {row.operator: row.room for row in support("mxnet")}
    assert rooms["Activation"] == "math/activation.py"
    assert not [name for name, room in rooms.items() if len(set(room.split(", "))) < len(room.split(", "))]
