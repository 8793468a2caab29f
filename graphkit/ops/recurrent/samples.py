"""Cases that all kinds of recurrent layers have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphkit.ops.recurrent.gates import KINDS, span
from graphkit.ops.spec import Arr, Case, Limit, Tol, arr, given

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LIMITS", "SINGLE", "mx_cases", "onnx_cases", "projected_cases", "step_cases"]

_STEPS, _BATCH, _INPUTS, _HIDDEN = 4, 2, 3, 5
_PROJECTION = 2
SINGLE = Tol(float64=1e-6, reason="MXNet's rnn_relu rounds to float32 inside")
"""Tolerance of plain layers with relu."""
LIMITS = (
    *(
        Limit(claim, "ONNX Runtime has no recurrent layers with the batch first", "batch first")
        for claim in ("onnxruntime", "gradient-onnxruntime")
    ),
    *(
        Limit(claim, "torch packs no sequences without steps, and says so when it is given any", "no steps")
        for claim in ("torch", "torch-float64", "torch-backward")
    ),
)
"""Known gaps of all kinds."""


def mx_cases(mode: str) -> tuple[Case, ...]:
    """Uses of MXNet's operator in one of its modes."""
    kind = KINDS[mode]

    def case(
        name: str,
        layers: int = 1,
        directions: int = 1,
        projection: int = 0,
        *,
        const: Sequence[int] = (1,),
        grad: bool = True,
        **attrs: Any,
    ) -> Case:
        low = 0.0 if mode == "rnn_relu" and grad else -0.5  # so that gradients keep away from the kink
        packed = arr(span(kind.gates, layers, directions, _INPUTS, _HIDDEN, projection), low=low, high=0.5)
        sizes = (projection or _HIDDEN, _HIDDEN)[: kind.states]
        states = [arr(layers * directions, _BATCH, size, low=2 * low) for size in sizes]
        attrs = {"state_size": _HIDDEN, "num_layers": layers, **attrs}
        if directions == 2:
            attrs["bidirectional"] = True
        if projection:
            attrs["projection_size"] = projection
        return Case(
            f"relu, {name}" if mode == "rnn_relu" else name,
            (arr(_STEPS, _BATCH, _INPUTS, low=2 * low), packed, *states),
            attrs,
            const=tuple(const),
            outputs=1 + kind.states if "state_outputs" in attrs else 1,
            grad=grad and not projection,  # MXNet on the CPU does not train projections
            tol=SINGLE if mode == "rnn_relu" else Tol(),
        )

    found = [
        case("one layer"),
        case("states", state_outputs=True),
        case("fed parameters", const=()),
        case("bidirectional", directions=2, state_outputs=True),
        case("layers", layers=3, p=0.4, state_outputs=True),
        case("bidirectional layers", 2, 2, state_outputs=True),
    ]
    if mode == "rnn_relu":
        found.append(case("both signs", 2, 2, grad=False))
    if mode == "lstm":
        found += [
            case("projection", projection=_PROJECTION, state_outputs=True),
            case("projected layers", 2, 2, _PROJECTION, state_outputs=True),
        ]
    return tuple(found)


def onnx_cases(mode: str, **fixed: Any) -> tuple[Case, ...]:
    """Uses of the ONNX operator.

    Args:
        mode: MXNet's name of the kind.
        fixed: Attributes of all of them.
    """
    kind = KINDS[mode]
    rows, last = kind.gates * _HIDDEN, 1 + kind.states

    def case(
        name: str,
        directions: int = 1,
        *,
        states: bool = False,
        outputs: int = 1,
        lengths: Arr | None = None,
        bias: bool = True,
        const: Sequence[int] = (1, 2, 3),
        dynamic: Sequence[int] = (),
        **attrs: Any,
    ) -> Case:
        batch_first = bool(attrs.get("layout"))
        state = arr(*((_BATCH, directions) if batch_first else (directions, _BATCH)), _HIDDEN)
        inputs: list[Arr | None] = [
            arr(*((_BATCH, _STEPS) if batch_first else (_STEPS, _BATCH)), _INPUTS),
            arr(directions, rows, _INPUTS, low=-0.5, high=0.5),
            arr(directions, rows, _HIDDEN, low=-0.5, high=0.5),
            arr(directions, 2 * rows, low=-0.5, high=0.5) if bias else None,
            lengths,
            *([state] * kind.states if states else ()),
        ]
        while inputs[-1] is None:
            inputs.pop()
        attrs = {"hidden_size": _HIDDEN, **fixed, **attrs}
        if directions == 2:
            attrs["direction"] = "bidirectional"
        stored = tuple(place for place, operand in enumerate(inputs) if place in const and operand is not None)
        return Case(name, tuple(inputs), attrs, const=stored, outputs=outputs, dynamic=tuple(dynamic))

    lengths = given([4, 2], "int32")
    return (
        case("forward", states=True, outputs=last),
        case("without states", dynamic=(0,)),
        case("without bias", bias=False, outputs=last),
        case("fed weights", const=(), states=True),
        case("reverse", states=True, outputs=last, direction="reverse"),
        case("bidirectional", 2, states=True, outputs=last),
        case("batch first", 2, states=True, outputs=last, layout=1, dynamic=(0,)),
        case("lengths", states=True, outputs=2, lengths=lengths),
        case("lengths in reverse", outputs=2, lengths=lengths, direction="reverse"),
        case("lengths both ways", 2, states=True, outputs=2, lengths=lengths),
        case("stored lengths of all", outputs=last, lengths=given([4, 4], "int32"), const=(1, 2, 3, 4)),
        case("no steps", outputs=2, lengths=given([0, 3], "int32")),
        replace(case("halves"), dtype="float16", grad=False, tol=Tol(float32=2e-3, reason="they are halves")),
    )


def projected_cases() -> tuple[Case, ...]:
    """Uses of the LSTM whose hidden state is projected."""

    def case(name: str, directions: int = 1, *more: Arr | None, bias: bool = True, **attrs: Any) -> Case:
        inputs = (
            arr(_STEPS, _BATCH, _INPUTS),
            arr(directions, 4 * _HIDDEN, _INPUTS, low=-0.5, high=0.5),
            arr(directions, 4 * _HIDDEN, _PROJECTION, low=-0.5, high=0.5),
            arr(directions, _PROJECTION, _HIDDEN, low=-0.5, high=0.5),
            arr(directions, 8 * _HIDDEN, low=-0.5, high=0.5) if bias else None,
            *more,
        )
        while inputs[-1] is None:
            inputs = inputs[:-1]
        attrs.update({"direction": "bidirectional"} if directions == 2 else {})
        stored = tuple(place for place in range(1, 5) if place < len(inputs) and inputs[place] is not None)
        return Case(name, inputs, attrs, const=stored, outputs=3)

    def states(directions: int) -> tuple[Arr, Arr]:
        return arr(directions, _BATCH, _PROJECTION), arr(directions, _BATCH, _HIDDEN)

    lengths = given([4, 2], "int32")
    return (
        case("without states"),
        case("without bias", 2, bias=False),
        case("states", 1, None, *states(1)),
        case("states in reverse", 1, None, *states(1), direction="reverse"),
        case("states both ways", 2, None, *states(2)),
        case("lengths", 1, lengths),
        case("lengths and states both ways", 2, lengths, *states(2)),
    )


def step_cases(mode: str) -> tuple[Case, ...]:
    """Uses of the ONNX operator that neither MXNet nor torch has as one layer."""
    kind = KINDS[mode]
    rows, last = kind.gates * _HIDDEN, 1 + kind.states

    def case(name: str, directions: int = 1, *more: Arr | None, lengths: Arr | None = None, **attrs: Any) -> Case:
        state = arr(directions, _BATCH, _HIDDEN)
        inputs = (
            arr(_STEPS, _BATCH, _INPUTS),
            arr(directions, rows, _INPUTS, low=-0.5, high=0.5),
            arr(directions, rows, _HIDDEN, low=-0.5, high=0.5),
            arr(directions, 2 * rows, low=-0.5, high=0.5),
            lengths,
            *[state] * kind.states,
            *more,
        )
        if directions == 2:
            attrs["direction"] = "bidirectional"
        return Case(name, inputs, {"hidden_size": _HIDDEN, **attrs}, const=(1, 2, 3), outputs=last)

    found = [
        case("clipped", clip=0.7),
        case("other activations", activations=["Softsign", "HardSigmoid", "Elu"][: max(kind.states + 1, 1)])
        if mode == "lstm"
        else case("other activations", activations=["Softsign", "Softplus"][: 2 if mode == "gru" else 1]),
    ]
    lengths = given([4, 2], "int32")
    if mode.startswith("rnn"):  # in other layers ONNX Runtime refuses it
        found.append(replace(case("clipped to nothing", clip=0.0), grad=False))
    if mode == "gru":
        found += [case("reset before"), case("reset before, both ways", 2, lengths=lengths)]
    if mode == "lstm":
        found += [
            case("peepholes", 2, arr(2, 3 * _HIDDEN)),
            case("coupled gates", input_forget=1),
            case("last cells of lengths", 2, lengths=lengths),
        ]
    return tuple(found)
