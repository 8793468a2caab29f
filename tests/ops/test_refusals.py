"""Uses of operators that no conversion can give the right numbers of are refused, and the refusal says why."""

from __future__ import annotations

import pytest
from mxnodes import read_node

from graphkit.errors import UnsupportedError

Shapes = tuple[tuple[int, ...], ...]


@pytest.mark.parametrize(
    ("operator", "shapes", "attributes", "dtype", "said"),
    [
        ("norm", ((2, 3),), {}, "int32", "rounds its sum of int32 numbers at every step"),
        ("repeat", ((2, 3),), {"repeats": "0"}, "float32", "leaves nothing"),
        ("_contrib_BilinearResize2D", ((1, 1, 1, 4),), {"mode": "to_even_down"}, "float32", "leaves 0×4 pixels"),
        (
            "RNN",
            ((4, 2, 3), (7,), (1, 2, 5)),
            {"state_size": "5", "num_layers": "1", "mode": "rnn_tanh"},
            "float32",
            "a vector of 7 numbers, and it needs 50",
        ),
    ],
)
def test_what_mxnet_computes_in_a_way_of_its_own(
    operator: str, shapes: Shapes, attributes: dict[str, str], dtype: str, said: str
) -> None:
    with pytest.raises(UnsupportedError, match=said):
        read_node(operator, shapes, attributes, dtype)
