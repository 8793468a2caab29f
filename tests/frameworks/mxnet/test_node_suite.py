"""ONNX's own suite of single nodes computes in the real MXNet what the suite says, or is refused for a known reason."""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import NamedTuple

import numpy as np
import onnx_ir as ir
import pytest
from nodesuite import NodeCase, agree, every_case, stored_cases

from graphkit.errors import GraphkitError, ShapeNeededError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.passes.fix_inputs import fix_inputs

pytestmark = pytest.mark.skipif(runtimes()["mxnet"].missing() is not None, reason="MXNet does not run here")

AS_THEY_STAND = 1455
"""Cases that have to be right as they stand; the number only goes up."""
WITH_FIXED_INPUTS = 1719
"""Cases that have to be right once the inputs that the refusal names are fixed; together with those as they stand."""


class Exclusion(NamedTuple):
    """Cases that are refused.

    Attributes:
        names: What their names match, without ``test_``.
        says: What the refusal says.
    """

    names: str
    says: str


EXCLUDED = (
    # What MXNet has no arrays of.
    Exclusion(r"string_.*|strnormalizer_.*|regex_full_match_.*|equal_string.*", "has no strings"),
    Exclusion(r"ai_onnx_ml_label_encoder_(string|tensor)_.*", "has no strings"),
    Exclusion(
        r"(identity|if|loop13|loop16|optional_get_element|optional_has_element|sequence|split_to_sequence)_.*",
        "no tensors|neither sequences nor optional values",
    ),
    Exclusion(r"reduce_sum_empty_set_non_reduced_axis_zero|split_zero_size_splits.*|tri[ul]_zero", "has no elements"),
    Exclusion(r"reshape_allowzero_reordered", "has no elements"),
    Exclusion(
        r"constantofshape_int_shape_zero|shape_start_greater_than_end|slice_start_out_of_bounds"
        r"|causal_conv_with_state_kernel_size_one.*",
        "without elements",
    ),
    # Element types that MXNet does not compute in; floats of few bits are read, and never written.
    Exclusion(r"cast(like)?_.*_to_FLOAT(8|4).*", "MXNet has no float[48]"),
    Exclusion(r"quantizelinear_(e4m3fn|e5m2|float4e2m1)", "quantizes to float[48]"),
    Exclusion(r"bitcast_(2d_|scalar_)?(float|int).*_to_(float|int).*|bitcast_bool_to_uint8", "bits of integers"),
    # Operators without a form.
    Exclusion(r"image_decoder_.*", "decodes image files"),
    # Forms of operators that MXNet does not have.
    Exclusion(r"(training_)?dropout_.*mask.*", "does not give its output"),
    Exclusion(r"col2im_5d", "images of two axes"),
    Exclusion(r"roialign_mode_max", "takes the largest sample"),
    Exclusion(r"loop11", "how many turns it makes depends on numbers"),
    Exclusion(r"scan_sum", "had a batch dimension"),
)
"""The cases that are refused."""
UNLIKE = {
    **dict.fromkeys(
        ("bernoulli", "bernoulli_expanded", "bernoulli_double", "bernoulli_double_expanded"),
        "the numbers are drawn at random, by another generator",
    ),
    **dict.fromkeys(("bernoulli_seed", "bernoulli_seed_expanded"), "a seed says nothing to another generator"),
    **dict.fromkeys(
        ("training_dropout", "training_dropout_default"),
        "training mode is the session's, and what is dropped is drawn at random",
    ),
    **dict.fromkeys(
        ("resize_downsample_scales_linear_align_corners", "resize_downsample_scales_cubic_align_corners"),
        "the suite aligns corners by the size before it is rounded, ONNX's text and ONNX Runtime after",
    ),
}
"""Cases whose numbers differ, with the reason; names without ``test_``."""
WHOLE = {
    "pytorch-converted": (),
    "pytorch-operator": (),
    "simple": (
        Exclusion(r"strnorm_model_.*", "has no strings"),
        Exclusion(r"gradient_of_.*", "graphkit takes gradients itself"),
        Exclusion(r"sequence_model1", "neither sequences nor optional values"),
    ),
}
"""The suite's whole models, with what is refused of them."""


class Outcome(NamedTuple):
    """What became of a case.

    Attributes:
        what: ``"right"``, ``"wrong"``, ``"refused"`` or ``"failed"``.
        fixed: The inputs that were fixed.
        said: The refusal or failure.
    """

    what: str
    fixed: tuple[str, ...] = ()
    said: str = ""


def _tried(case: NodeCase, fixed: tuple[str, ...]) -> Outcome:
    feeds = dict(case.feeds)
    try:
        model = ir.serde.deserialize_model(case.model)
        fix_inputs(model, {name: feeds.pop(name) for name in fixed})
        session = runtimes()["mxnet"].open(canonical(model), native=False)
        with session:
            found = session.forward(feeds)
    except (UnsupportedError, ShapeNeededError) as error:
        named = (
            error.fix if isinstance(error, ShapeNeededError) else [name for node in error.nodes for name in node.fix]
        )
        more = tuple(dict.fromkeys([*fixed, *named]))
        return _tried(case, more) if more != fixed else Outcome("refused", fixed, str(error))
    except GraphkitError as error:
        return Outcome("failed", fixed, f"{type(error).__name__}: {error}")
    right = list(found) == case.outputs and all(map(agree, found.values(), case.expected))
    return Outcome("right" if right else "wrong", fixed)


@cache
def _outcomes() -> dict[str, Outcome]:
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deviations that the user is told of
        for case in every_case():
            name = case.name.removeprefix("test_")
            found[name] = _tried(case, ()) if case.tensors else Outcome("refused", (), "no tensors")
    return found


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_models_compute_what_the_suite_says(kind: str) -> None:
    wrong = []
    for case in stored_cases(kind):
        name = case.name.removeprefix("test_")
        arrays = all(isinstance(value, np.ndarray) for value in (*case.given.values(), *case.wanted))
        named = case._replace(feeds=dict(case.given), expected=list(case.wanted))
        outcome = _tried(named, ()) if arrays else Outcome("refused", (), "no tensors")
        excluded = [exclusion for exclusion in WHOLE[kind] if re.fullmatch(exclusion.names, name)]
        said = any(re.search(exclusion.says, outcome.said) for exclusion in excluded)
        if outcome.what != ("refused" if excluded else "right") or said != bool(excluded):
            wrong.append(f"{name}: {outcome}")
    assert wrong == []


def _excluded(name: str) -> list[Exclusion]:
    return [exclusion for exclusion in EXCLUDED if re.fullmatch(exclusion.names, name)]


def test_no_case_is_wrong_or_fails() -> None:
    assert {name: each for name, each in _outcomes().items() if each.what == "failed"} == {}
    assert {name for name, each in _outcomes().items() if each.what == "wrong"} == set(UNLIKE)


def test_what_is_refused_is_excluded_for_the_reason_that_the_refusal_gives() -> None:
    refused = {name: each.said for name, each in _outcomes().items() if each.what == "refused"}
    unknown = [
        f"{name}: {said}"
        for name, said in refused.items()
        if not any(re.search(exclusion.says, said) for exclusion in _excluded(name))
    ]
    assert unknown == []


def test_what_is_excluded_is_refused() -> None:
    stale = [name for name, each in _outcomes().items() if each.what != "refused" and _excluded(name)]
    assert stale == []
    idle = [
        exclusion.names
        for exclusion in EXCLUDED
        if not any(re.fullmatch(exclusion.names, name) for name, each in _outcomes().items())
    ]
    assert idle == []


def test_no_fewer_cases_are_right_than_there_were() -> None:
    right = [each for each in _outcomes().values() if each.what == "right"]
    assert len([each for each in right if not each.fixed]) >= AS_THEY_STAND
    assert len(right) >= WITH_FIXED_INPUTS
