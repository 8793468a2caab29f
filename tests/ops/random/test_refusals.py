"""Parameters that no distribution has are told with the node, the operator and what is allowed."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from mxnodes import read_node

from graphkit.errors import UnsupportedError
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical

NONE = "None"


@pytest.mark.parametrize(
    ("op", "shapes", "attrs", "told"),
    [
        ("_random_normal", [], {}, "it has no shape"),
        ("_random_normal", [], {"shape": "(0, 3)"}, "shape=(0, 3) has a size that is unknown; give sizes"),
        ("_random_normal", [], {"shape": "(2,)", "scale": "-1"}, "scale=-1 is not positive"),
        ("_random_normal", [], {"shape": "(2,)", "dtype": "int32"}, "parameter dtype is 'int32', not one of float16"),
        ("_random_uniform", [], {"shape": "(2,)", "low": "3"}, "low=3.0 is more than high=1.0"),
        ("_random_gamma", [], {"shape": "(2,)", "alpha": "0"}, "alpha=0 is not positive"),
        ("_random_poisson", [], {"shape": "(2,)", "lam": "-1"}, "lam=-1 is not ≥ 0"),
        ("_random_randint", [], {"shape": "(2,)", "low": "3", "high": "3"}, "low=3 is not below high=3"),
        ("_sample_normal", [(2,), (3,)], {}, "its parameters have different shapes: (2,) and (3,)"),
        ("_sample_gamma", [(2,), (2,)], {"shape": "(-1,)"}, "shape=(-1,) has a size that is not positive"),
        ("_sample_multinomial", [(3,)], {"shape": "(0,)"}, "shape=(0,) has a size that is not positive"),
        ("_shuffle", [(None, 3)], {}, "how many rows it puts in order is not known"),
        ("_random_pdf_normal", [(2,), (2, 3), (2, 3)], {}, "its parameters have 2 axes and its sample 1"),
        ("_npi_normal", [(2,), (3,)], {"loc": NONE, "scale": NONE}, "shapes (2,) and (3,) do not fit together"),
        ("_npi_normal", [(2,)], {"loc": NONE, "scale": "1", "size": "(3,)"}, "(2,) does not stretch to size=(3,)"),
        ("_npi_gamma", [], {"shape": "0", "scale": "1"}, "shape=0 is not positive"),
        ("_npi_exponential", [], {"scale": "-1"}, "scale=-1 is not 0 or more"),
        ("_npi_bernoulli", [], {"prob": "2", "logit": NONE, "is_logit": "False"}, "prob=2 is no probability"),
        ("_npi_choice", [], {"a": "-3", "size": "(5,)"}, "a=-3: there is nothing to choose from"),
        ("_npi_choice", [], {"a": "3", "size": "(5,)", "replace": "False"}, "5 of 3 places cannot be chosen"),
        ("_npi_multinomial", [(3,)], {"n": "-1"}, "it draws nothing"),
    ],
)
def test_what_mxnet_refuses_is_refused_with_the_reason(op, shapes, attrs, told) -> None:
    with pytest.raises(UnsupportedError) as caught:
        read_node(op, shapes, attrs)
    assert told in str(caught.value)
    assert f"{op} × 1" in str(caught.value)


def test_draws_of_integers_like_an_array_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="MXNet draws no int32 numbers; cast its operand to float32"):
        read_node("_random_normal_like", [(2,)], {}, "int32")


def model_of(body: str) -> ir.Model:
    text = f'<ir_version: 11, opset_import: ["": 23]> m () => (float[2, 3] y) {{ {body} }}'
    return canonical(ir.from_onnx_text(text))


def test_a_seed_is_left_out_with_a_warning() -> None:
    told: list[str] = []
    to_symbol(model_of("y = RandomNormal<shape=[2, 3], seed=1.0>()"), told.append)
    assert ["its seed is left out" in each for each in told] == [True]


def test_mxnet_is_not_given_distributions_that_it_refuses() -> None:
    with pytest.raises(UnsupportedError, match="MXNet draws only with scale > 0"):
        to_symbol(model_of("y = RandomNormal<shape=[2, 3], scale=0.0>()"))
    with pytest.raises(UnsupportedError, match="low ≤ high"):
        to_symbol(model_of("y = RandomUniform<shape=[2, 3], low=2.0>()"))


def test_deviations_below_zero_are_drawn_with_those_above() -> None:
    mx = to_symbol(model_of("y = RandomNormal<shape=[2, 3], scale=-2.0>()"))
    assert mx.graph.nodes[-1].attrs["scale"] == "2.0"
