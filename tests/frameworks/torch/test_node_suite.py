"""ONNX's own suites compute as torch source what they say, but for a list of cases, each with its reason."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import onnx_ir as ir
import pytest
from nodesuite import NodeCase, alike, every_case, stored_cases

from graphkit.errors import GraphkitError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical

pytest.importorskip("torch")

RIGHT = 1834
"""Cases of single nodes whose numbers are right; it only goes up."""


class Exclusion(NamedTuple):
    """Cases that are refused.

    Attributes:
        names: What their names match, without ``test_``.
        says: What the refusal says.
    """

    names: str
    says: str


REFUSED = (
    Exclusion("equal_string.*", "torch has no strings"),
    Exclusion("(string_concat|string_split|regex_full_match|strnormalizer).*", "neither torch nor MXNet has strings"),
    Exclusion("image_decoder.*", "decodes image files, which is not a model's part elsewhere"),
    Exclusion("ai_onnx_ml_label_encoder_.*", "holds strings, which neither torch nor MXNet has"),
    Exclusion("maxunpool_export_with_output_shape", "its output_shape is computed"),
    Exclusion("melweightmatrix", "what it is made of is computed"),
    Exclusion("scan_sum", "Scan had a batch dimension in opset 8"),
)
"""What torch source cannot say; every case of it, and nothing else, is refused with these words."""

UNLIKE = {
    "resize_downsample_scales_cubic_align_corners": "the suite takes 2.4 for the size after, ONNX Runtime 2, as it is",
    "resize_downsample_scales_linear_align_corners": "the suite takes 2.4 for the size after, ONNX Runtime 2, as it is",
}
"""Cases whose numbers differ, with the reason."""

DRAWN = re.compile(r"bernoulli|training_dropout(_default)?(_mask)?$")
"""Cases of random numbers, or of training mode, which a session follows: shapes and element types are compared."""


class Outcome(NamedTuple):
    """What became of a case.

    Attributes:
        right: Whether its outputs are what they have to be.
        said: The refusal, where it was refused.
    """

    right: bool
    said: str = ""


def _run(case: NodeCase, runtime: str = "torch") -> Outcome:
    try:
        model = canonical(ir.serde.deserialize_model(case.model))
        with runtimes()[runtime].open(model, native=False) as session:
            found = session.forward(dict(case.given))
    except GraphkitError as error:
        return Outcome(right=False, said=str(error))
    named = list(found) == case.outputs
    if DRAWN.search(case.name):
        return Outcome(right=named and all(map(_fits, found.values(), case.wanted)))
    return Outcome(right=named and all(map(alike, found.values(), case.wanted)))


def _fits(left: Any, right: Any) -> bool:
    return left.shape == right.shape and left.dtype == right.dtype


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {case.name.removeprefix("test_"): _run(case) for case in every_case()}


def test_every_case_is_right_but_for_those_with_a_reason(outcomes):
    refused = re.compile("|".join(f"(?:{exclusion.names})" for exclusion in REFUSED))
    wrong = {
        name: outcome.said or "other numbers"
        for name, outcome in outcomes.items()
        if not outcome.right and name not in UNLIKE and not refused.fullmatch(name)
    }
    assert wrong == {}


@pytest.mark.parametrize("exclusion", REFUSED, ids=lambda exclusion: exclusion.names[:40])
def test_every_exclusion_is_refused_for_its_reason(outcomes, exclusion):
    of_it = {name: outcome for name, outcome in outcomes.items() if re.fullmatch(exclusion.names, name)}
    assert of_it
    assert {name: outcome for name, outcome in of_it.items() if not re.search(exclusion.says, outcome.said)} == {}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_has_other_numbers_still_has_them(outcomes, name):
    assert outcomes[name] == Outcome(right=False)


def test_the_number_of_right_cases_only_goes_up(outcomes):
    assert sum(outcome.right for name, outcome in outcomes.items() if not DRAWN.search(name)) >= RIGHT


SIMPLE = {
    r"test_strnorm_model.*": ("neither torch nor MXNet has strings", None),
    r"test_gradient_of.*": ("graphkit takes gradients itself", "not a registered function"),
}
"""Cases of whole models that torch, and ONNX Runtime, refuse."""


@pytest.mark.parametrize("kind", ["pytorch-converted", "pytorch-operator", "simple"])
@pytest.mark.parametrize("runtime", ["torch", "ort"])
def test_whole_models_compute_what_their_suite_says(kind, runtime):
    place = ("torch", "ort").index(runtime)
    refused = {names: says[place] for names, says in SIMPLE.items() if kind == "simple"}
    count = 0
    for case in stored_cases(kind):
        says = [text for names, text in refused.items() if re.fullmatch(names, case.name)]
        outcome = _run(case, runtime)
        if says and says[0] is not None:
            assert re.search(says[0], outcome.said), case.name
        elif not says:
            assert outcome == Outcome(right=True), case.name
        count += 1
    assert count >= {"pytorch-converted": 82, "pytorch-operator": 35, "simple": 23}[kind]
