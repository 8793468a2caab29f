"""Tolerances that a user sets: how they are written, which of several decides, and which were in vain."""

from __future__ import annotations

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkit.errors import InputError
from graphkit.parity.tolerances import QUANTITIES, Override, bound_of, parse_tolerance, parse_tolerances, unused
from graphkit.report.report import Kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-4", Override("", "", 1e-4)),
        ("0", Override("", "", 0.0)),
        ("8x", Override("", "", 8.0, True)),
        (" 2.5 x ", Override("", "", 2.5, True)),
        ("*=1e-4", Override("", "*", 1e-4)),
        ("output=1e-5", Override("", "output", 1e-5)),
        ("input gradient = 4x", Override("", "input gradient", 4.0, True)),
        ("layer4.*=8x", Override("", "layer4.*", 8.0, True)),
        ("float64:output=1e-10", Override("float64", "output", 1e-10)),
        ("float64:1e-10", Override("float64", "", 1e-10)),
        ("float64:=1e-10", Override("float64", "", 1e-10)),
        ("float32:layer*:0=0.1", Override("float32", "layer*:0", 0.1)),
        ("x:0=1e-3", Override("", "x:0", 1e-3)),
        ("a=b=1e-3", Override("", "a=b", 1e-3)),
        ("float64=1e-3", Override("float64", "", 1e-3)),
    ],
)
def test_a_tolerance_is_written_as_it_is_read(text, expected):
    assert parse_tolerance(text) == expected
    assert parse_tolerance(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no tolerance"),
        ("output", "is no tolerance"),
        ("output=", "is no tolerance"),
        ("output=tight", "'tight' in 'output=tight' is no tolerance"),
        ("output=1e-4y", "is no tolerance"),
        ("output:1e-4", "write KEY=VALUE"),
        ("output=-1e-4", "bounds nothing"),
        ("output=nan", "bounds nothing"),
        ("output=inf", "bounds nothing"),
        ("output=0x", "more than 0 times the noise floor"),
        ("output=-2x", "more than 0 times the noise floor"),
        ("parameter gradints=1e-4", "is 'parameter gradient' meant"),
        ("something else=1e-4", "there are output, gradient, input gradient"),
    ],
)
def test_nonsense_is_refused(text, told):
    with pytest.raises(InputError) as caught:
        parse_tolerance(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"gradient": "8x", "layer4.*": 1e-3},
        ["gradient=8x", "layer4.*=1e-3"],
        (Override("", "gradient", 8, True), "layer4.*=1e-3"),
    ],
)
def test_code_gives_tolerances_in_a_dict_or_a_list(given):
    assert parse_tolerances(given) == (Override("", "gradient", 8, True), Override("", "layer4.*", 1e-3))


def test_a_sole_tolerance_needs_no_list():
    assert parse_tolerances("1e-3") == (Override("", "", 1e-3),)
    assert parse_tolerances(()) == ()


def test_the_quantities_are_the_kinds_of_tensors_that_reports_have():
    passes = {"forward", "backward", "train"}
    assert set(QUANTITIES) == {*typing.get_args(Kind)} - passes | {"gradient"}


def decided(kind, name, dtype, *texts):
    found = bound_of([parse_tolerance(text) for text in texts], kind, name, dtype)
    return None if found is None else found.value


def test_without_a_fitting_override_nothing_is_decided():
    assert decided("output", "y", "float32") is None
    assert decided("output", "y", "float32", "loss=1", "gradient=2", "float64:output=3", "x*=4") is None


@pytest.mark.parametrize("turn", [1, -1])
def test_the_most_specific_decides_wherever_it_stands(turn):
    ladder = ["1", "gradient=2", "parameter gradient=3", "layer*=4", "layer1.w=5"]
    for count in range(1, len(ladder) + 1):
        assert decided("parameter gradient", "layer1.w", "float32", *ladder[:count][::turn]) == count


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("key", ["", "output", "y*", "y"])
def test_an_element_type_is_more_specific_than_none(key, turn):
    texts = [f"{key}=1" if key else "1", f"float64:{key}=2"][::turn]
    assert decided("output", "y", "float64", *texts) == 2
    assert decided("output", "y", "float32", *texts) == 1


def test_a_tensor_is_more_specific_than_an_element_type():
    assert decided("output", "y", "float64", "y=1", "float64:output=2") == 1


def test_the_later_of_equals_decides():
    assert decided("output", "yes", "float32", "output=1", "output=2") == 2
    assert decided("output", "yes", "float32", "y*=1", "*s=2") == 2


@pytest.mark.parametrize("kind", ["input gradient", "parameter gradient", "value gradient"])
def test_gradient_means_each_kind_of_gradient(kind):
    assert decided(kind, "w", "float32", "gradient=1") == 1
    assert decided("output", "w", "float32", "gradient=1") is None


def test_an_asterisk_alone_is_everything_and_less_specific_than_a_quantity():
    assert decided("output", "y", "float32", "output=2", "*=1") == 2
    assert decided("loss", "", "float32", "output=2", "*=1") == 1


def test_a_quantity_is_not_taken_for_a_name():
    assert decided("loss", "output", "float32", "output=1") is None
    assert decided("loss", "output", "float32", "outpu[t]=1") == 1


def test_globs_heed_case():
    assert decided("output", "Layer1", "float32", "layer*=1") is None


def test_a_name_with_brackets_stands_for_itself():
    assert decided("output", "x[0]", "float32", "x[0]=1") == 1


def test_what_met_no_tensor_is_told_with_what_may_be_meant():
    overrides = [parse_tolerance(text) for text in ("1", "output=1", "conv9.*=8x", "layr1.w=1", "outputs=1", "w*=1")]
    told = unused(overrides, ["layer1.w", "weight"])
    assert len(told) == 3
    assert "'conv9.*=8x' is about no tensor that was compared." in told[0]
    assert "is 'layer1.w' meant?" in told[1]
    assert "is 'output' meant?" in told[2]


def test_nothing_is_told_where_everything_met_something():
    assert unused([parse_tolerance("1"), parse_tolerance("w=1"), parse_tolerance("float64:w*=1")], ["w"]) == ()


@given(
    st.sampled_from(["", "float32", "float64"]),
    st.sampled_from(["", *QUANTITIES, "a*", "a.b"]),
    st.floats(min_value=1e-300, max_value=1e300).map(lambda x: float(f"{x:.12g}")),
    st.booleans(),
)
def test_every_override_reads_back(dtype, key, value, times):
    override = Override(dtype, key, value, times)
    assert parse_tolerance(str(override)) == override
