"""Uses of operators that no conversion can give the right numbers of are refused, and the refusal says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir
import pytest
from mxnodes import read_node

from graphkit.errors import UnsupportedError
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.frameworks.torch.source.program import to_program
from graphkit.ir.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Callable

Shapes = tuple[tuple[int, ...], ...]


@pytest.mark.parametrize(
    ("operator", "shapes", "attributes", "dtype", "said"),
    [
        ("norm", ((2, 3),), {}, "int32", "rounds its sum of int32 numbers at every step"),
        ("Dropout", ((2, 3),), {"p": "1"}, "float32", "no share of elements that leaves any"),
        ("_histogram", ((4,),), {"bin_cnt": "2", "range": "(0, 1)"}, "int32", "edges of bins of integers"),
        (
            "_contrib_quantized_act",
            ((2, 3), (1,), (1,)),
            {"act_type": "relu"},
            "uint8",
            "takes unsigned integers for signed ones",
        ),
        ("where", ((1, 3), (2, 3), (2, 3)), {}, "float32", "different shapes, which MXNet does not stretch"),
        (
            "_contrib_Proposal",
            ((1, 24, 4, 5), (1, 48, 4, 5), (1, 3)),
            {"threshold": "-0.5"},
            "float32",
            "is no share of an area",
        ),
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


@pytest.mark.parametrize("write", [to_symbol, to_program])
@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (
            (
                "(float[2,4,5] x) => (float[2,4,5] y) <float[4] a = {1,1,1,1}, float[4] b = {0,0,0,0}> "
                "{ y = GroupNormalization <num_groups = 3> (x, a, b) }"
            ),
            "4 channels cannot be parted into 3 groups",
        ),
        (
            (
                "(float[2,4,5] x) => (float[2,4,5] y) <float[1] a = {1}, float[4] b = {0,0,0,0}> "
                "{ y = GroupNormalization <num_groups = 2> (x, a, b) }"
            ),
            r"its scale is \[1\], and it normalises 4 channels",
        ),
        (
            "(float[2,3] x) => (float[n,3] y) <bool[4] c = {1,0,0,1}> { y = Compress <axis = 0> (x, c) }",
            "its condition has 4 elements, and there are 2 to choose from",
        ),
        (
            "(float[2,3,4] x) => (float[2,3,4] y) { y = MeanVarianceNormalization (x) }",
            r"along the axes \[0, 2, 3\] of an array of 3 axes",
        ),
        (
            "(float[4,2,3] x, float[2,5,3] w, float[2,5,5] r) => (float[4,1,2,5] y) { y = RNN (x, w, r) }",
            "its weight is one of 2 directions, and it has 1",
        ),
        (
            "(float[2,1,4] x, float[3,1] s) => (float[2,3,4] y) { y = PRelu (x, s) }",
            "its slope does not stretch to the shape",
        ),
        (
            (
                "(float[3,4,2] x, int64[3] n) => (float[3,4,2] y) "
                "{ y = ReverseSequence <batch_axis = 0, time_axis = -1> (x, n) }"
            ),
            "time axis -1 and batch axis 0 are not the first two",
        ),
        (
            (
                "(float[2,3] x, int64[2] t) => (float y) <float[4] w = {1,2,3,4}> "
                "{ y = SoftmaxCrossEntropyLoss (x, t, w) }"
            ),
            "it has 4 weights for 3 classes",
        ),
        (
            "() => (int32[4] y) <int64 n = {4}> { y = HannWindow <output_datatype = 6> (n) }",
            "a window of integers",
        ),
        (
            "(float[1,1,3] x) => (float[1,1,n] y) { y = AveragePool <kernel_shape = [4]> (x) }",
            "its window of 4 elements is larger than the 3",
        ),
        (
            (
                "(float[1,1,1] x) => (float[1,1,n] y) "
                "{ y = AveragePool <kernel_shape = [2], dilations = [2], pads = [1, 1]> (x) }"
            ),
            "sees nothing but padding",
        ),
    ],
)
def test_what_contradicts_itself_though_onnxs_rules_let_it_pass(
    write: Callable[[ir.Model], object], graph: str, said: str
) -> None:
    model = canonical(ir.from_onnx_text(f'<ir_version: 10, opset_import: ["": 23]> g {graph}'))
    with pytest.raises(UnsupportedError, match=said):
        write(model)


def test_a_letter_that_einsum_stretches_is_refused_for_mxnet() -> None:
    model = canonical(
        ir.from_onnx_text(
            '<ir_version: 10, opset_import: ["": 23]> g (float[2,4] a, float[1,3] b) => (float[2,3] y) '
            '{ y = Einsum <equation = "ij,jk->ik"> (a, b) }'
        )
    )
    with pytest.raises(UnsupportedError, match="stretches 'j' where it has size 1"):
        to_symbol(model)
