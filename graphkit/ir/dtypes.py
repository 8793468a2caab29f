"""One table of element types: what ONNX, numpy, MXNet, PyTorch and safetensors call them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphkit.errors import FormatError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["DTYPES", "DType", "dtype_of", "from_mxnet"]


@dataclass(frozen=True, slots=True)
class DType:
    """One element type. Fields that a framework has no name for are None.

    Attributes:
        name: Its name in numpy, and in MXNet where ``mxnet`` is given; ``"bfloat16"`` is ``ml_dtypes.bfloat16``.
        onnx: Its ONNX data type.
        mxnet: MXNet's code for it, as in parameter files and ``__dtype__``.
        mxnet1: Whether MXNet 1.9.1 loads arrays of this type; it knows the names of more.
        torch: Its attribute of the torch module; for a type that torch does not compute with, that of the type that
            holds its numbers there.
        safetensors: Its name in the header of a safetensors file.
    """

    name: str
    onnx: ir.DataType
    mxnet: int | None = None
    mxnet1: bool = False
    torch: str | None = None
    safetensors: str | None = None

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy element type, in native byte order."""
        return np.dtype(getattr(ml_dtypes, self.name, self.name))

    @property
    def in_torch(self) -> DType:
        """The element type of the tensors that hold it in torch."""
        return self if self.torch in (None, self.name) else next(row for row in DTYPES if row.name == self.torch)


DTYPES: Final = (
    DType("float32", ir.DataType.FLOAT, 0, True, "float32", "F32"),
    DType("float64", ir.DataType.DOUBLE, 1, True, "float64", "F64"),
    DType("float16", ir.DataType.FLOAT16, 2, True, "float16", "F16"),
    DType("uint8", ir.DataType.UINT8, 3, True, "uint8", "U8"),
    DType("int32", ir.DataType.INT32, 4, True, "int32", "I32"),
    DType("int8", ir.DataType.INT8, 5, True, "int8", "I8"),
    DType("int64", ir.DataType.INT64, 6, True, "int64", "I64"),
    DType("bool", ir.DataType.BOOL, 7, True, "bool", "BOOL"),
    DType("int16", ir.DataType.INT16, 8, False, "int16", "I16"),
    DType("uint16", ir.DataType.UINT16, 9, False, "uint16", "U16"),
    DType("uint32", ir.DataType.UINT32, 10, False, "uint32", "U32"),
    DType("uint64", ir.DataType.UINT64, 11, False, "uint64", "U64"),
    DType("bfloat16", ir.DataType.BFLOAT16, 12, True, "bfloat16", "BF16"),
    DType("complex64", ir.DataType.COMPLEX64, torch="complex64", safetensors="C64"),
    DType("complex128", ir.DataType.COMPLEX128, torch="complex128"),
    DType("float8_e4m3fn", ir.DataType.FLOAT8E4M3FN, torch="float8_e4m3fn", safetensors="F8_E4M3"),
    DType("float8_e5m2", ir.DataType.FLOAT8E5M2, torch="float8_e5m2", safetensors="F8_E5M2"),
    DType("float8_e4m3fnuz", ir.DataType.FLOAT8E4M3FNUZ, torch="float8_e4m3fnuz"),
    DType("float8_e5m2fnuz", ir.DataType.FLOAT8E5M2FNUZ, torch="float8_e5m2fnuz"),
    DType("float8_e8m0fnu", ir.DataType.FLOAT8E8M0, torch="float8_e8m0fnu", safetensors="F8_E8M0"),
    DType("float4_e2m1fn", ir.DataType.FLOAT4E2M1, torch="float32"),
    DType("int4", ir.DataType.INT4, torch="int8"),
    DType("uint4", ir.DataType.UINT4, torch="uint8"),
    DType("int2", ir.DataType.INT2, torch="int8"),
    DType("uint2", ir.DataType.UINT2, torch="uint8"),
)
"""Every element type that more than one framework has. MXNet's codes are those of mshadow's type flags."""


@cache
def _by_onnx() -> dict[ir.DataType, DType]:
    return {dtype.onnx: dtype for dtype in DTYPES}


@cache
def _by_numpy() -> dict[np.dtype[Any], DType]:
    return {dtype.numpy: dtype for dtype in DTYPES}


def dtype_of(kind: npt.DTypeLike | ir.DataType) -> DType:
    """The row of a numpy or ONNX element type, whatever its byte order.

    Raises:
        FormatError: The table has no such type.
    """
    if isinstance(kind, ir.DataType):
        found = _by_onnx().get(kind)
        name = kind.name
    else:
        dtype = np.dtype(kind)
        found = _by_numpy().get(dtype.newbyteorder("=") if dtype.names is None else dtype)
        name = str(dtype)
    if found is None:
        raise FormatError(f"Element type {name} is not one that graphkit converts; cast the tensor to another one.")
    return found


def from_mxnet(code: int) -> ir.DataType:
    """The ONNX data type of an MXNet type code.

    Raises:
        FormatError: MXNet has no such code.
    """
    for dtype in DTYPES:
        if dtype.mxnet == code:
            return dtype.onnx
    raise FormatError(f"{code} is not a type code of MXNet, whose codes are 0 (float32) to 12 (bfloat16).")
