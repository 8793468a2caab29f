"""Inputs as users give them: shapes, texts, and examples, which are arrays, what holds them, and constants.

And how records of what was made of a source spell them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.errors import InputError
from graphkit.frameworks.base import Constant, InputSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from graphkit.frameworks.base import ReadOptions

    Input = InputSpec | str | Sequence[int | None]
    Inputs = Sequence[Any] | Mapping[str, Any]
    """Shapes, texts, specifications or examples of inputs, in order or by name; see :func:`input_specs`."""

__all__ = ["input_spec", "input_specs", "parse_input", "spelled"]

_SPEC: Final = re.compile(
    r"(?:(?P<name>.+):)?(?P<shape>(?:\d+|\?)(?:x(?:\d+|\?))*|scalar)(?::(?P<dtype>[a-z]+\d*[a-z0-9_]*))?"
)
_CONSTANTS: Final = (bool, int, float, complex, type(None))
_SPELLED: Final = 16
"""Numbers of a fixed input that records tell one by one."""


def input_specs(given: Inputs) -> tuple[InputSpec, ...]:
    """The specifications of inputs that are given in order or by name.

    Args:
        given: For each input what :func:`input_spec` takes, or an example: an array of any framework (its shape and
            element type are meant), a constant such as True (in a dictionary, or None in a sequence), or lists, tuples,
            dictionaries and caches of the transformers library that hold arrays.

    Raises:
        InputError: Something else is given.
    """
    if isinstance(given, str):
        return (parse_input(given),)
    found: list[InputSpec] = []
    if isinstance(given, Mapping):
        for name, one in given.items():
            if isinstance(one, str):
                found.append(replace(parse_input(one), name=name))
            elif isinstance(one, InputSpec):
                found.append(replace(one, name=name))
            elif one is not None and _is_shape(one):
                found.append(InputSpec(name, tuple(one)))
            else:
                found.extend(_described(one, name))
        return tuple(found)
    for place, one in enumerate(given):
        if one is None or (_is_array(one) and not isinstance(one, InputSpec)):
            found.extend(_described(one, ""))
        elif isinstance(one, str | InputSpec | int | float) or _is_shape(one) or not _holds_arrays(one):
            found.append(input_spec(one))
        else:
            found.extend(_described(one, str(place)))
    return tuple(found)


def _holds_arrays(value: Any) -> bool:
    """Whether there are arrays in it, or it is an object of which only its class knows; a shape has neither."""
    if isinstance(value, list | tuple):
        return any(_is_array(part) or _holds_arrays(part) for part in value)
    return not isinstance(value, str | int | float)


def input_spec(given: Input) -> InputSpec:
    """The specification of an input that is given as one, as a shape, or as the command line spells it.

    Raises:
        InputError: It is none of these.
    """
    if isinstance(given, InputSpec):
        return given
    if isinstance(given, str):
        return parse_input(given)
    sizes: tuple[Any, ...] = tuple(given) if isinstance(given, Sequence) else (given,)
    if isinstance(given, Sequence) and all(dim is None or isinstance(dim, int) for dim in sizes):
        return InputSpec("", sizes)
    raise InputError(f"{given!r} is no shape of an input; give sizes, and None for a free dimension.")


def parse_input(text: str) -> InputSpec:
    """Parse ``NAME:2x3x224x224[:dtype]``; the name may be left out, ``?`` is a free dimension, ``scalar`` no dimension.

    Raises:
        InputError: The text is not of that form.
    """
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"{text!r} does not describe an input; write NAME:SHAPE or SHAPE, with an element type where it is not "
            f"float32, e.g. image:1x3x224x224 or ids:1x16:int64."
        )
    shape = match["shape"]
    dims = () if shape == "scalar" else tuple(None if dim == "?" else int(dim) for dim in shape.split("x"))
    if dtype := match["dtype"]:
        from graphkit.ir.dtypes import DTYPES

        if dtype not in (known := [row.name for row in DTYPES]):
            raise InputError(f"{dtype!r} in {text!r} is no element type; there are {', '.join(known)}.")
    return InputSpec(name=match["name"] or "", shape=dims, dtype=dtype or "")


def _is_array(value: Any) -> bool:
    """Whether a value is an array of any framework: it has a shape and an element type."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _is_shape(value: Any) -> bool:
    """Whether a value is a shape: sizes, and None for free ones."""
    sizes = isinstance(value, Sequence) and not isinstance(value, str)
    return sizes and all(dim is None or (isinstance(dim, int) and not isinstance(dim, bool)) for dim in value)


def _described(value: Any, name: str) -> Iterator[InputSpec]:
    """What describes an example: the shape and element type of each array in it, under a dotted name.

    Args:
        value: An array, a constant, nested lists, tuples and dictionaries of them, or a cache of the transformers
            library.
        name: Name of the input; empty for "the next one in order" where it is an array or a constant.

    Raises:
        InputError: There is something else in it.
    """
    if _is_array(value):
        yield InputSpec(name, tuple(int(size) for size in value.shape), _dtype(value))
    elif isinstance(value, _CONSTANTS):
        yield InputSpec(name, (), constant=Constant(value))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _described(part, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        fields = getattr(value, "_fields", range(len(value)))
        for key, part in zip(fields, value, strict=True):
            yield from _described(part, f"{name}.{key}")
    elif isinstance(getattr(value, "layers", None), list) or hasattr(value, "cross_attention_cache"):
        yield from _cache(value, name)
    else:
        what = f"Input {name!r}" if name else "An input"
        raise InputError(
            f"{what} is given as a {type(value).__name__}; give an array, a shape, a text such as '2x16:int64', a "
            f"constant, or lists, tuples and dictionaries of arrays."
        )


def _cache(cache: Any, name: str) -> Iterator[InputSpec]:
    """The tensors of a cache of the transformers library."""
    from graphkit.frameworks.torch.caches import states

    for ending, held in states(cache).items():
        yield from _described(held, f"{name}.{ending}")


def _dtype(array: Any) -> str:
    """Name of an array's element type: ``str`` of torch's ends in it, of numpy's and MXNet's it is the name."""
    import numpy as np

    dtype = array.dtype
    return np.dtype(dtype).name if isinstance(dtype, type | np.dtype) else str(dtype).rpartition(".")[2]


def spelled(options: ReadOptions) -> dict[str, str]:
    """The options of reading that change what is read, as records tell them."""
    told = {"inputs": ", ".join(map(str, options.inputs))} if options.inputs else {}
    told |= {} if options.dynamic_batch else {"dynamic_batch": "no"}
    told |= {"train": "yes"} if options.train else {}
    fixed = ", ".join(f"{name}={_numbers(np.asarray(value))}" for name, value in options.fixed.items())
    return told | ({"fixed": fixed} if fixed else {})


def _numbers(array: npt.NDArray[np.generic]) -> str:
    """Numbers as ``--fix`` takes them; of many or of other axes, their type, shape and a hash."""
    if array.ndim < 2 and array.size <= _SPELLED:
        return ",".join(map(str, array.reshape(-1).tolist()))
    shape = "x".join(map(str, array.shape))
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype.name} {shape or 'scalar'} sha256 {digest}"
