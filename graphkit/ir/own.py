"""graphkit's own operators: what frameworks name and ONNX does not, such as a Cholesky factor.

They are of the domain ``graphkit`` and have schemas in onnx's registry like any other operator, so that attributes have
defaults and types and shapes are inferred. What each computes, in ONNX's operators, is the ``body`` of its
:class:`~graphkit.ops.spec.Op`; a written ONNX file holds it as a function, and reading puts the operator back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import onnx
from onnx.defs import OpSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["DOMAIN", "OPERATOR", "OPERATORS", "VERSION", "is_own"]

DOMAIN: Final = "graphkit"
"""Operator domain of graphkit's own operators."""
VERSION: Final = 1
"""Version of that domain."""
OPERATOR: Final = "graphkit.operator"
"""Key under which a function of a file says which operator it is the body of."""

Shape: TypeAlias = "list[int | str | None]"
Rule: TypeAlias = "Callable[[Sequence[Shape], dict[str, Any]], Sequence[Shape]]"
"""(shapes of the inputs, attributes) -> shapes of the outputs; a ValueError says why the inputs do not fit."""

_FLOATS = ["tensor(float)", "tensor(double)"]
_KINDS = {
    "B": ("tensor(bool)", onnx.TensorProto.BOOL),
    "I": ("tensor(int64)", onnx.TensorProto.INT64),
    "S": ("tensor(int32)", onnx.TensorProto.INT32),
}


def _square(shape: Shape, name: str) -> Shape:
    if len(shape) < 2:
        raise ValueError(f"{name} is no matrix: it has {len(shape)} axes")
    rows, columns = shape[-2:]
    if isinstance(rows, int) and isinstance(columns, int) and rows != columns:
        raise ValueError(f"{name} is not square: it has {rows} rows and {columns} columns")
    return shape


def _matrix(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    return [_square(shapes[0], "A")]


def _solution(shapes: Sequence[Shape], attrs: dict[str, Any]) -> Sequence[Shape]:
    size = _square(shapes[0], "A")[-1]
    other = shapes[1]
    if len(other) != len(shapes[0]):
        raise ValueError(f"B has {len(other)} axes where A has {len(shapes[0])}")
    facing = other[-2 if attrs.get("left", 1) else -1]
    if isinstance(size, int) and isinstance(facing, int) and size != facing:
        raise ValueError(f"A is {size}×{size}, and B has {facing} where these meet")
    return [other]


def _eigenpairs(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    shape = _square(shapes[0], "A")
    return [shape[:-1], shape]


def _thin(shape: Shape) -> int | str | None:
    """The smaller side of matrices."""
    if len(shape) < 2:
        raise ValueError(f"A is no matrix: it has {len(shape)} axes")
    rows, columns = shape[-2:]
    if rows == columns:
        return rows
    return min(rows, columns) if isinstance(rows, int) and isinstance(columns, int) else None


def _orthogonal_and_triangle(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    side, (*batch, rows, columns) = _thin(shapes[0]), shapes[0]
    return [[*batch, rows, side], [*batch, side, columns]]


def _singular(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    side, (*batch, rows, columns) = _thin(shapes[0]), shapes[0]
    return [[*batch, rows, side], [*batch, side], [*batch, side, columns]]


def _sampled(shapes: Sequence[Shape], attrs: dict[str, Any]) -> Sequence[Shape]:
    return [[*shapes[0], *attrs.get("shape", ())]]


def _same(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    return [shapes[0]]


def _broadcast(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    rank = max(map(len, shapes))
    full: list[Shape] = [[*[1] * (rank - len(shape)), *shape] for shape in shapes]
    found: Shape = []
    for sizes in zip(*full, strict=True):
        known = {size for size in sizes if size != 1}
        numbers = [size for size in known if isinstance(size, int)]
        if len(numbers) > 1:
            raise ValueError(f"sizes {numbers[0]} and {numbers[1]} do not broadcast")
        found.append(numbers[0] if numbers else known.pop() if len(known) == 1 else None if known else 1)
    return [found]


def _sign_and_log(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    return [_square(shapes[0], "A")[:-2]] * 2


def _operator(
    name: str, inputs: str, outputs: str, rule: Rule, doc: str, attributes: Sequence[OpSchema.Attribute] = ()
) -> None:
    """Register an operator whose inputs and outputs have one float type, or what follows ``:``; ``?`` may be absent."""
    formals, results = ([_formal(word) for word in words.split()] for words in (inputs, outputs))

    def infer(context: Any) -> None:
        places = [index for index in range(context.get_num_inputs()) if context.has_input(index)]
        types = [context.get_input_type(index) for index in places]
        shapes = [_shape(type_) for type_ in types]
        defaults = {formal.name: onnx.helper.get_attribute_value(formal.default_value) for formal in attributes}
        given = {key: context.get_attribute(key) for key in defaults}
        attrs = {
            key: onnx.helper.get_attribute_value(value) if value is not None else defaults[key]
            for key, value in given.items()
        }
        known = [shape for shape in shapes if shape is not None]
        found = rule(known, attrs) if len(known) == len(shapes) else [None] * len(results)
        for index, (shape, result) in enumerate(zip(found, results, strict=True)):
            kind = _KINDS[result.type_str][1] if result.type_str in _KINDS else types[0].tensor_type.elem_type
            context.set_output_type(index, onnx.helper.make_tensor_type_proto(kind, shape))

    schema = OpSchema(
        name,
        DOMAIN,
        VERSION,
        doc,
        inputs=formals,
        outputs=results,
        type_constraints=[
            ("T", _FLOATS, ""),
            *((name, [kind], "") for name, (kind, _) in _KINDS.items() if f":{name}" in inputs + outputs),
        ],
        attributes=list(attributes),
    )
    schema.set_type_and_shape_inference_function(infer)
    onnx.defs.register_schema(schema)


def _formal(word: str) -> OpSchema.FormalParameter:
    name, _, kind = word.removesuffix("?").partition(":")
    option = OpSchema.FormalParameterOption.Optional if word.endswith("?") else OpSchema.FormalParameterOption.Single
    return OpSchema.FormalParameter(name, kind or "T", param_option=option)


def _shape(type_: onnx.TypeProto) -> Shape | None:
    if not type_.tensor_type.HasField("shape"):
        return None
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in type_.tensor_type.shape.dim
    ]


def _option(name: str, default: float | Sequence[float], doc: str) -> OpSchema.Attribute:
    return OpSchema.Attribute(name, onnx.helper.make_attribute(name, default), doc)


def _losses(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    data, labels, *lengths = shapes
    if (len(data), len(labels), *map(len, lengths)) != (3, 2, 1, 1):
        raise ValueError("X has not 3 axes, labels 2 and their lengths 1")
    sizes = {size for size in (data[1], labels[0], *(each[0] for each in lengths)) if isinstance(size, int)}
    if len(sizes) > 1:
        raise ValueError("X, labels and their lengths are of batches of different sizes")
    return [[data[1]]]


def _matches(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    (scores,) = shapes
    if len(scores) < 2:
        raise ValueError(f"scores are no matrices: they have {len(scores)} axes")
    return [scores[:-1], [*scores[:-2], scores[-1]]]


def _targets(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    anchors, labels, scores = shapes
    if (len(anchors), len(labels), len(scores)) != (3, 3, 3):
        raise ValueError("anchors, labels and scores have not 3 axes each")
    if any(isinstance(size, int) and size != wanted for size, wanted in ((anchors[0], 1), (anchors[2], 4))):
        raise ValueError("anchors are not four coordinates, the same for all images")
    if isinstance(labels[2], int) and labels[2] < 5:
        raise ValueError("labels are not a class and four coordinates at least")
    count = anchors[1] if anchors[1] is not None else scores[2]
    numbers = 4 * count if isinstance(count, int) else None
    return [[labels[0], numbers], [labels[0], numbers], [labels[0], count]]


def _bins(shapes: Sequence[Shape], attrs: dict[str, Any]) -> Sequence[Shape]:
    data, regions = shapes[:2]
    if len(data) != 4 or len(regions) != 2:
        raise ValueError("data have not 4 axes and regions 2")
    sizes: Shape = [attrs["size"]] * 2 if "size" in attrs else [attrs["height"], attrs["width"]]
    channels = attrs.get("channels", data[1])
    groups = attrs.get("groups", 1)
    if "channels" in attrs and isinstance(data[1], int) and data[1] != channels * groups * groups:
        raise ValueError(f"data have {data[1]} channels, and {groups}×{groups} groups of {channels} are asked for")
    return [[regions[0], channels, *sizes]]


def _kept(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    if (len(shapes[0]), *map(len, shapes[1:])) != (3, *[2] * (len(shapes) - 1)):
        raise ValueError("boxes have not 3 axes, and scores and classes 2 each")
    return [shapes[1]]


def _likelihood(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    if [len(shape) for shape in shapes] != [2, 1, 1, 2, 2, 2, 1, 1]:
        raise ValueError("base, state, lags and marks have not 2 axes, or the others 1")
    return [shapes[4][:1], shapes[0]]


def _projected(shapes: Sequence[Shape], _attrs: dict[str, Any]) -> Sequence[Shape]:
    data, weight, recurrence, projection = shapes[:4]
    if any(len(shape) != 3 for shape in shapes[:4]):
        raise ValueError("X, W, R and P have not 3 axes each")
    directions, hidden, cell = projection
    for name, known, wanted in (("W", weight[1], cell), ("R", recurrence[1], cell)):
        if isinstance(known, int) and isinstance(wanted, int) and known != 4 * wanted:
            raise ValueError(f"{name} has {known} rows, and 4 gates of {wanted} are needed")
    if isinstance(recurrence[2], int) and isinstance(hidden, int) and recurrence[2] != hidden:
        raise ValueError(f"R has {recurrence[2]} columns, and P {hidden} rows")
    return [[data[0], directions, data[1], hidden], [directions, data[1], hidden], [directions, data[1], cell]]


_POSITION_SENSITIVE = (
    _option("scale", 1.0, "From the regions' coordinates to those of the data."),
    _option("channels", 1, "Channels of the result."),
    _option("size", 1, "Bins along height and width."),
    _option("groups", 1, "Groups of channels along height and width that the bins are taken from."),
)

_operator(
    "BipartiteMatching",
    "scores",
    "columns rows",
    _matches,
    "Pairs of rows and columns, the best first, each in one pair; -1 for those that are in none.",
    [
        _option("threshold", 0.0, "Scores that are not better make no pair."),
        _option("ascending", 0, "Whether lower scores are better."),
        _option("most", 0, "Largest number of pairs; 0 for no limit."),
    ],
)
_operator(
    "CTCLoss",
    "X labels:I lengths:I label_lengths:I",
    "loss",
    _losses,
    "Connectionist temporal classification loss of activations (frames, batch, classes), 0 where none fits the labels.",
    [_option("blank", 0, "Class that stands for no label.")],
)
_operator(
    "MultiBoxTarget",
    "anchors labels scores",
    "offsets mask classes",
    _targets,
    "What SSD is trained to give for each anchor: offsets to a labelled box, whether it has one, and its class.",
    [
        _option("overlap_threshold", 0.5, "Overlap from which an anchor has the box it overlaps most."),
        _option("ignore_label", -1.0, "Class of anchors that are not trained."),
        _option("negative_mining_ratio", -1.0, "Anchors without a box that are trained, for each that has one."),
        _option("negative_mining_thresh", 0.5, "Overlap up to which such an anchor is trained."),
        _option("variances", [0.1, 0.1, 0.2, 0.2], "What offsets are divided by."),
    ],
)
_operator(
    "DeformablePSRoiPool",
    "data regions moves?",
    "pooled",
    _bins,
    "Position-sensitive pooling by samples of bins that are moved.",
    [
        *_POSITION_SENSITIVE,
        _option("parts", 1, "Moves along height and width."),
        _option("samples", 1, "Samples in each bin along height and width."),
        _option("factor", 0.0, "What moves, in units of the regions' sizes, are multiplied by."),
    ],
)
_operator(
    "HawkesLogLikelihood",
    "base jump decay state lags marks:I lengths span",
    "likelihood kept",
    _likelihood,
    "Log likelihood of events of processes whose intensities jump at each event and decay, and what they keep of it.",
)
_operator(
    "NmsMask",
    "boxes scores classes:I?",
    "kept:B",
    _kept,
    "Which boxes stay when the best is taken again and again, and with it all of its class that overlap it.",
    [
        _option("threshold", 0.0, "Ratio of intersection to union above which boxes overlap."),
        _option("center", 0, "Whether boxes are centres and sizes rather than corners."),
    ],
)
_operator(
    "PSRoiPool",
    "data regions",
    "pooled",
    _bins,
    "Mean of each bin of regions, every bin from a group of channels of its own.",
    _POSITION_SENSITIVE,
)
_operator(
    "RotatedRoiAlign",
    "data regions",
    "pooled",
    _bins,
    "Average of interpolated samples in each bin of rotated regions.",
    [
        _option("scale", 1.0, "From the regions' coordinates to those of the data."),
        _option("height", 1, "Bins along the height."),
        _option("width", 1, "Bins along the width."),
        _option("samples", 0, "Samples in each bin along an axis; 0 for one per pixel."),
    ],
)
_operator(
    "ProjectedLSTM",
    "X W R P B? sequence_lens:S? initial_h? initial_c?",
    "Y Y_h Y_c",
    _projected,
    "ONNX's LSTM whose hidden state is multiplied by P at every step: X (steps, batch, features), W (directions, "
    "4 · cell, features), R (directions, 4 · cell, hidden), P (directions, hidden, cell), B (directions, 8 · cell).",
    [OpSchema.Attribute("direction", onnx.helper.make_attribute("direction", "forward"), "As ONNX's LSTM has it.")],
)
_EACH = OpSchema.Attribute(
    "shape",
    onnx.helper.make_attribute("shape", [], attr_type=onnx.AttributeProto.INTS),
    "What is drawn for each parameter.",
)

_operator("Atan2", "Y X", "angle", _broadcast, "The angle between the first axis and the points (X, Y), from -π to π.")
_operator("Cholesky", "A", "L", _matrix, "The lower factor of symmetric positive definite matrices: A = L Lᵀ.")
_operator(
    "Eig",
    "A",
    "values vectors",
    _eigenpairs,
    "Eigenvalues of matrices and eigenvectors of length 1 as columns, in LAPACK's order; NaN in place of complex ones.",
)
_operator(
    "Eigh",
    "A",
    "values vectors",
    _eigenpairs,
    "Eigenvalues of symmetric matrices, the smallest first, and the eigenvectors as columns, whose largest numbers are "
    "positive.",
)
_operator("Erfinv", "X", "Y", _same, "The number whose error function is X.")
_operator("Expm1", "X", "Y", _same, "exp(X) - 1, precise near zero.")
_operator("Gamma", "X", "Y", _same, "The gamma function.")
_operator("Inverse", "A", "X", _matrix, "The inverse of matrices.")
_operator("Lgamma", "X", "Y", _same, "The logarithm of the absolute of the gamma function.")
_operator(
    "Qr",
    "A",
    "Q R",
    _orthogonal_and_triangle,
    "A = Q R with orthonormal columns and an upper triangle, by Householder's reflections: the diagonal of R has the "
    "signs that LAPACK gives it.",
)
_operator("Log1p", "X", "Y", _same, "log(1 + X), precise near zero.")
_operator("RandomGamma", "alpha", "X", _sampled, "Gamma variates of shape parameters alpha and scale 1.", [_EACH])
_operator("RandomPoisson", "rate", "X", _sampled, "Poisson variates of given means.", [_EACH])
_operator("SlogDet", "A", "sign logabsdet", _sign_and_log, "Sign, and logarithm of the absolute, of determinants.")
_operator("Solve", "A B", "X", _solution, "X such that A X = B.")
_operator(
    "Svd",
    "A",
    "U S V",
    _singular,
    "A = U diag(S) V with orthonormal columns of U and rows of V, the largest singular values first; the largest "
    "numbers of V's rows are positive.",
)
_operator(
    "TriangularSolve",
    "A B",
    "X",
    _solution,
    "X such that A X = B, or X A = B, where A is the triangle of matrices whose other numbers are not looked at.",
    [_option("upper", 0, "Whether it is the upper triangle."), _option("left", 1, "Whether A stands left of X.")],
)

OPERATORS: Final = frozenset(schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == DOMAIN)
"""Names of all of them."""


def is_own(op_type: str, domain: str) -> bool:
    """Whether an operator is one of graphkit's own."""
    return domain == DOMAIN and op_type in OPERATORS
