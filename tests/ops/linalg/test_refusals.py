"""Matrices that do not fit are told with the node, the operator and what is allowed."""

from __future__ import annotations

import pytest
from mxnodes import read_node

from graphkit.errors import FormatError, UnsupportedError


@pytest.mark.parametrize(
    ("op", "shapes", "attrs", "told"),
    [
        ("_linalg_gemm2", [(3,), (3,)], {}, "its operand has 1 axes, and matrices have two or more"),
        ("_linalg_gemm", [(2, 3, 4)] * 3, {"axis": "5"}, "axis=5 is none of the axes"),
        ("_linalg_syrk", [(3,)], {}, "matrices have two or more"),
        ("_linalg_trmm", [(2, 3), (3, 3)], {}, "not square: they have 2 rows and 3 columns"),
        ("_linalg_trsm", [(2, 3), (3, 3)], {}, "not square: they have 2 rows and 3 columns"),
        ("_linalg_potri", [(2, 3)], {}, "not square: they have 2 rows and 3 columns"),
        ("_linalg_extractdiag", [(2, 3)], {}, "not square: they have 2 rows and 3 columns"),
        ("_linalg_extracttrian", [(3, 3)], {"offset": "4"}, "a matrix of 3 rows has nothing at offset=4"),
        ("_linalg_maketrian", [(5,)], {}, "5 numbers make no triangle, 1, 3, 6, 10 and so on do"),
        ("_linalg_sumlogdiag", [(3, 2)], {}, "not square: they have 3 rows and 2 columns"),
        ("_linalg_gelqf", [(5, 3)], {}, "MXNet refuses matrices with more rows (5) than columns (3)"),
        ("_linalg_extractdiag", [(None, None)], {}, "the size of the matrix is not known"),
        ("_npi_svd", [(5, 3)], {}, "MXNet refuses matrices with more rows (5) than columns (3)"),
        ("_npi_solve", [(3, 3), (2, 3, 1)], {}, "its right side has 3 axes, and its matrices have 2"),
        ("_npi_tensorinv", [(2, 3, 5)], {}, "an array of shape (2, 3, 5) is no square matrix with ind=2"),
        ("_npi_tensorsolve", [(2, 3, 5), (2, 3)], {}, "is no square matrix for 5 unknowns"),
        ("_npi_tensorsolve", [(2, 3, 6), (2, 3)], {"a_axes": "(7,)"}, "a_axes=(7,) are not different axes"),
        ("_npi_pinv_scalar_rcond", [(3,)], {}, "matrices have two or more"),
    ],
)
def test_what_mxnet_refuses_is_refused_with_the_reason(op, shapes, attrs, told) -> None:
    with pytest.raises(UnsupportedError) as caught:
        read_node(op, shapes, attrs)
    assert told in str(caught.value)
    assert f"{op} × 1" in str(caught.value)


@pytest.mark.parametrize(
    ("op", "shapes", "told"),
    [
        ("_linalg_potrf", [(2, 3)], "A is not square: it has 2 rows and 3 columns"),
        ("_linalg_inverse", [(3,)], "A is no matrix: it has 1 axes"),
        ("_linalg_trsm", [(3, 3), (2, 3)], "A is 3×3, and B has 2 where these meet"),
    ],
)
def test_operands_that_contradict_the_operator_are_told(op, shapes, told) -> None:
    with pytest.raises(FormatError) as caught:
        read_node(op, shapes, {})
    assert told in str(caught.value)
    assert f"node 'node' ({op})" in str(caught.value)
