"""The table of element types."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import FormatError
from graphkit.ir.dtypes import DTYPES, dtype_of, from_mxnet


@pytest.mark.parametrize("row", DTYPES, ids=lambda row: row.name)
def test_a_row_agrees_with_onnx_and_numpy_and_is_found_by_each_of_its_names(row):
    assert row.onnx.numpy() == row.numpy
    assert dtype_of(row.onnx) is dtype_of(row.numpy) is row
    if row.mxnet is not None:
        assert from_mxnet(row.mxnet) == row.onnx


@pytest.mark.parametrize("row", DTYPES, ids=lambda row: row.name)
def test_torch_and_safetensors_have_the_names(row):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    if row.torch is None or row.safetensors is None:
        return
    dtype = getattr(torch, row.torch)
    assert dtype.itemsize == row.numpy.itemsize
    header = safetensors.save({"a": torch.zeros(2, dtype=dtype)})
    assert f'"dtype":"{row.safetensors}"'.encode() in header


def test_byte_order_does_not_matter():
    assert dtype_of(">f4").name == "float32"


@pytest.mark.parametrize("kind", ["U3", np.dtype("V2"), ir.DataType.STRING, ir.DataType.FLOAT6E2M3])
def test_an_unknown_type_is_refused(kind):
    with pytest.raises(FormatError, match="not one that graphkit converts"):
        dtype_of(kind)


def test_an_unknown_mxnet_code_is_refused():
    with pytest.raises(FormatError, match="13 is not a type code of MXNet"):
        from_mxnet(13)
