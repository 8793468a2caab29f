"""``ai.onnx.ml``'s operators on numbers compute the same as ONNX Runtime's kernels out of ONNX's own operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contribruns import assert_expanded_alike, contrib_model

from graphkit.errors import UnsupportedError
from graphkit.frameworks.torch.source.program import to_program
from graphkit.ir.canonical import canonical

RNG = np.random.default_rng(19)
ML = "ai.onnx.ml"


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


X = floats(5, 4)
WHOLE = RNG.integers(-3, 4, (5, 4))
ROWS = floats(3, 4).reshape(-1).tolist()


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "outputs"),
    [
        ("Scaler", [X], {"offset": [0.5, 1.0, -0.5, 0.1], "scale": [2.0, 0.5, 1.5, 3.0]}, (np.float32,)),
        ("Scaler", [WHOLE], {"offset": [0.5], "scale": [2.0]}, (np.float32,)),
        ("Normalizer", [np.abs(X)], {"norm": "MAX"}, (np.float32,)),
        ("Normalizer", [X], {"norm": "L1"}, (np.float32,)),
        ("Normalizer", [np.where(np.arange(5)[:, None] == 2, 0, X)], {"norm": "L2"}, (np.float32,)),
        ("Binarizer", [X], {"threshold": 0.25}, (np.float32,)),
        ("LinearRegressor", [X], {"coefficients": ROWS, "intercepts": [0.1, 0.2, 0.3], "targets": 3}, (np.float32,)),
        ("LinearRegressor", [X], {"coefficients": ROWS[:8], "targets": 2, "post_transform": "LOGISTIC"}, (np.float32,)),
        (
            "Imputer",
            [np.where(X > 1, np.nan, X)],
            {"imputed_value_floats": [1.0, 2.0, 3.0, 4.0], "replaced_value_float": float("nan")},
            (np.float32,),
        ),
        ("Imputer", [WHOLE], {"imputed_value_int64s": [9], "replaced_value_int64": 2}, (np.int64,)),
        ("ArrayFeatureExtractor", [X, np.array([[2, 0]])], {}, (np.float32,)),
        ("FeatureVectorizer", [X, X[:, :2]], {"inputdimensions": [4, 2]}, (np.float32,)),
        ("OneHotEncoder", [WHOLE], {"cats_int64s": [-3, 0, 2], "zeros": 1}, (np.float32,)),
        (
            "LabelEncoder",
            [WHOLE],
            {"keys_int64s": [-3, 0, 2], "values_floats": [0.5, 1.5, 2.5], "default_float": -1.0},
            (np.float32,),
        ),
        ("LabelEncoder", [WHOLE.astype(np.float32)], {"keys_floats": [1.0, 2.0], "values_int64s": [7, 8]}, (np.int64,)),
    ],
)
def test_features(op: str, inputs: list[np.ndarray], attrs: dict[str, Any], outputs: tuple[type, ...]) -> None:
    inputs = [array.astype(np.float32) if array.dtype == np.float64 else array for array in inputs]
    assert_expanded_alike(op, inputs, attrs, outputs=outputs, domain=ML, on=("ort", "torch", "mxnet"))


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("labels", [[0, 1, 2], [7, 3, 5]])
def test_linear_classifiers(transform: str, labels: list[int]) -> None:
    attrs = {
        "coefficients": ROWS,
        "intercepts": [0.1, 0.2, 0.3],
        "classlabels_ints": labels,
        "post_transform": transform,
        "multi_class": 1,
    }
    assert_expanded_alike("LinearClassifier", [X], attrs, outputs=(np.int64, np.float32), domain=ML)


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("one_class", [0, 1])
def test_support_vector_regressors(kernel: str, one_class: int) -> None:
    attrs = {
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.2, 3.0],
        "support_vectors": floats(6, 4).reshape(-1).tolist(),
        "coefficients": floats(6).tolist(),
        "rho": [0.1],
        "n_supports": 6,
        "one_class": one_class,
    }
    assert_expanded_alike("SVMRegressor", [X], attrs, domain=ML, tol=1e-5)


class Forest:
    """Random trees as the attributes of TreeEnsembleRegressor and TreeEnsembleClassifier."""

    def __init__(self, targets: list[int], modes: list[str], *, positive: bool, trees: int = 3, depth: int = 3) -> None:
        self.nodes: dict[str, list[Any]] = {
            name: []
            for name in (
                "treeids",
                "nodeids",
                "featureids",
                "values",
                "modes",
                "truenodeids",
                "falsenodeids",
                "missing_value_tracks_true",
            )
        }
        self.leaves: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
        for tree in range(trees):
            for node in range(2 ** (depth + 1) - 1):
                leaf = node >= 2**depth - 1
                row = [
                    tree,
                    node,
                    int(RNG.integers(4)),
                    float(np.float32(RNG.normal() / 2)),
                    "LEAF" if leaf else modes[node % len(modes)],
                    0 if leaf else 2 * node + 1,
                    0 if leaf else 2 * node + 2,
                    int(RNG.integers(2)),
                ]
                for values, value in zip(self.nodes.values(), row, strict=True):
                    values.append(value)
                for target in targets if leaf else []:
                    weight = float(np.float32(RNG.uniform(0 if positive else -1, 1) / trees))
                    for values, value in zip(self.leaves.values(), (tree, node, target, weight), strict=True):
                        values.append(value)

    def attrs(self, kind: str) -> dict[str, Any]:
        """Attributes by the names that begin with ``nodes`` and with ``kind``."""
        nodes = {f"nodes_{name}": values for name, values in self.nodes.items()}
        return nodes | {f"{kind}_{name}": values for name, values in self.leaves.items()}


HOLES = np.where(RNG.random((40, 4)) < 0.1, np.nan, RNG.standard_normal((40, 4))).astype(np.float32)
MIXED = ["BRANCH_LEQ", "BRANCH_GT", "BRANCH_LT", "BRANCH_GTE"]


@pytest.mark.parametrize("modes", [["BRANCH_LEQ"], MIXED])
@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE"])
def test_regression_trees(modes: list[str], aggregate: str) -> None:
    attrs = Forest([0, 1], modes, positive=False).attrs("target")
    attrs |= {"n_targets": 2, "aggregate_function": aggregate, "base_values": [0.25, -0.5]}
    assert_expanded_alike("TreeEnsembleRegressor", [HOLES], attrs, domain=ML)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_classification_trees(transform: str) -> None:
    attrs = Forest([0, 1, 2], ["BRANCH_LEQ"], positive=True).attrs("class")
    attrs |= {"classlabels_int64s": [4, 5, 9], "post_transform": transform}
    assert_expanded_alike("TreeEnsembleClassifier", [HOLES], attrs, outputs=(np.int64, np.float32), domain=ML)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("positive", [False, True])
def test_classification_trees_of_one_score(transform: str, positive: bool) -> None:
    attrs = Forest([0], ["BRANCH_LEQ"], positive=positive).attrs("class")
    attrs |= {"classlabels_int64s": [0, 1], "post_transform": transform}
    assert_expanded_alike("TreeEnsembleClassifier", [HOLES], attrs, outputs=(np.int64, np.float32), domain=ML)


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("LabelEncoder", {"keys_int64s": [1], "values_strings": ["one"]}),
        ("LinearClassifier", {"coefficients": ROWS[:8], "classlabels_strings": ["a", "b"]}),
        ("OneHotEncoder", {"cats_strings": ["a"]}),
    ],
)
def test_strings_are_refused(op: str, attrs: dict[str, Any]) -> None:
    outputs = (np.int64, np.float32) if op == "LinearClassifier" else (np.float32,)
    model, _ = contrib_model(op, [WHOLE], attrs, domain=ML, outputs=outputs)
    canonical(model)
    with pytest.raises(UnsupportedError, match="strings"):
        to_program(model)
