"""Fitting arrays that users have to a model's inputs: names, element types, shapes.

What loses nothing is converted, what is ambiguous or wrong is refused, and rounding is told.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphkit.errors import FeedError
from graphkit.frameworks.feeds import check_feeds
from graphkit.ir.dims import dims_of
from graphkit.ir.origin import source_of
from graphkit.parity.ranges import range_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Family = Literal["bool", "int", "float", "complex", "text", "other"]

__all__ = ["Fitter", "as_array", "is_array"]

_FLOAT: Final = ir.DataType.FLOAT
"""What an input of unknown element type is taken for, as inputs are drawn."""


class Fitter:
    """Fits samples to the inputs of one model, and warns of each thing once.

    Args:
        model: A canonical model.
        warn: Receives what the user must know: rounding, numbers that are not finite.
    """

    def __init__(self, model: ir.Model, warn: Callable[[str], None]) -> None:
        self._model = model
        self._warn = warn
        self._told: set[tuple[str, str]] = set()
        self._inputs = {value.name or "": value for value in model.graph.inputs if not value.is_initializer()}
        source = source_of(model)
        native = {} if source is None else source.names
        self._native = {native[name]: name for name in self._inputs if native.get(name, name) not in self._inputs}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs, in the model's order."""
        return tuple(self._inputs)

    def fit(self, where: str, given: Mapping[str, Any] | Sequence[Any]) -> dict[str, Array]:
        """The feeds of a sample.

        Args:
            where: What to call the sample in messages.
            given: An array for each input, by name (the model's or its source's) or by position.

        Raises:
            FeedError: An input is missing or unknown, or its array has another shape, another kind of element type or
                numbers that the input's element type cannot hold.
        """
        named = self._by_name(where, given) if isinstance(given, Mapping) else self._by_position(where, given)
        feeds = {name: self._converted(where, name, array) for name, array in named.items()}
        try:
            checked = check_feeds(self._model, feeds)
        except FeedError as error:
            hint = "".join(self._hint(name, array) for name, array in feeds.items())
            raise FeedError(f"{where}: {str(error).rstrip('.')}.{hint}") from error
        for name, array in checked.items():
            self._look_at(where, name, array)
        return checked

    def _by_name(self, where: str, given: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in given:
            name = key if key in self._inputs else self._native.get(key, key)
            if name in found:
                raise FeedError(
                    f"{where}: input {name!r} is given twice, once under the name of the model's source; leave one out."
                )
            found[name] = given[key]
        unknown = [name for name in found if name not in self._inputs]
        missing = [name for name in self._inputs if name not in found]
        if not unknown and not missing:
            return found
        parts = [f"there is nothing for {_listed(missing)}"] if missing else []
        parts += [f"the model has no input {_listed(unknown)}"] if unknown else []
        hint = ""
        if unknown and all(name.startswith("arr_") for name in map(str, unknown)):
            hint = " Arrays saved without names are called arr_0, arr_1, …: give names, np.savez(file, NAME=array)."
        elif unknown and (near := difflib.get_close_matches(str(unknown[0]), self._inputs, 1)):
            hint = f" Is {unknown[0]!r} meant to be {near[0]!r}?"
        elif unknown and not missing:
            hint = " Leave what is no input (labels, say) out."
        raise FeedError(f"{where}: {' and '.join(parts)}; its inputs are {_listed(self.names)}.{hint}")

    def _by_position(self, where: str, given: Sequence[Any]) -> dict[str, Any]:
        if len(given) != len(self._inputs):
            count = f"{len(given)} array{'' if len(given) == 1 else 's'}"
            raise FeedError(
                f"{where} is {count} without names, but the model's inputs are {_listed(self.names)}: give a tuple "
                f"with one array for each of them in this order, or a mapping by name, without anything else (labels, "
                f"say)."
            )
        return dict(zip(self._inputs, given, strict=True))

    def _converted(self, where: str, name: str, given: Any) -> Any:
        value = self._inputs[name]
        kind = value.type
        if isinstance(kind, ir.OptionalType):
            if given is None:
                return None
            kind = kind.elem_type
        if isinstance(kind, ir.SequenceType):
            if not isinstance(given, list | tuple):
                raise FeedError(f"{where}: input {name!r} is a sequence; give a list of arrays for it.")
            return [self._cast(where, name, as_array(f"{where}: {name!r}", item)) for item in given]
        return self._cast(where, name, as_array(f"{where}: {name!r}", given))

    def _cast(self, where: str, name: str, array: Array) -> Array:
        """The array in the element type of its input."""
        wanted = self._inputs[name].dtype or _FLOAT
        to: np.dtype[Any] = wanted.numpy()
        into = _family(to)
        raw = array.dtype.type is np.void and array.dtype.names is None
        if raw and to.isbuiltin != 1 and to.itemsize == array.dtype.itemsize:  # numpy saves bfloat16 and its like so
            return array.view(to)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if array.dtype == to:
            return array
        of = _family(array.dtype)
        what = f"{where}: input {name!r}"
        if into == "text":
            if of == "text":
                return array
            raise FeedError(f"{what} holds text, {array.dtype} was given; give an array of strings.")
        if of in ("text", "other"):
            raise FeedError(f"{what} is given as {_called(array.dtype)}, which is no number; save it as {to.name}.")
        if of == "complex" and into != "complex":
            raise FeedError(f"{what} takes {to.name}, complex numbers were given; give their real part, or pairs.")
        if into in ("bool", "int"):
            return _whole(what, array, to)
        if of in ("bool", "int"):
            return self._from_whole(what, name, array, to)
        return self._rounded(what, name, array, to)

    def _from_whole(self, what: str, name: str, array: Array, to: np.dtype[Any]) -> Array:
        """Integers for a float input: exact, and not taken for pixels that somebody forgot to scale."""
        index = range_of(self._inputs[name], {}).index
        found = array.astype(to)
        if array.dtype.itemsize == 1 and array.dtype.kind in "iu" and not index:
            raise FeedError(
                f"{what} takes {to.name}, {array.dtype} was given, as images are stored. The numbers that the model "
                f"expects depend on its preprocessing, so graphkit does not guess: scale them as it does and save them "
                f"as {to.name}, e.g. (array / 255).astype(np.{to.name})."
            )
        if not np.array_equal(found.astype(np.float64), array.astype(np.float64)) or _beyond_double(array):
            raise FeedError(
                f"{what} takes {to.name}, which does not hold all the {array.dtype} given exactly; round them first."
            )
        if not index:
            self._once("whole", name, f"{what} is {array.dtype} and was converted to {to.name}, which the model takes.")
        return found

    def _rounded(self, what: str, name: str, array: Array, to: np.dtype[Any]) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            found = array.astype(to)
        wide = np.complex128 if _family(to) == "complex" else np.float64
        ours, theirs = found.astype(wide), array.astype(wide)
        lost = np.isfinite(theirs) & ~np.isfinite(ours)
        if lost.any():
            raise FeedError(
                f"{what} takes {to.name}, which is too narrow for {theirs[lost][0]:g} in the {array.dtype} given; "
                f"scale the data."
            )
        if not np.array_equal(ours, theirs, equal_nan=True):
            told = f"{what} is {array.dtype} and was rounded to {to.name}, which the model takes."
            self._once("rounded", name, told)
        return found

    def _look_at(self, where: str, name: str, given: Any) -> None:
        """Warn of numbers that are not finite, refuse what holds no number at all."""
        for array in given if isinstance(given, list) else [given]:
            if array is None:
                continue
            dims = dims_of(self._inputs[name])
            if not array.size and 0 not in (dims or ()):
                raise FeedError(
                    f"{where}: the array for input {name!r} is empty, which nothing can be compared on; give more "
                    "samples."
                )
            if _family(array.dtype) in ("float", "complex"):
                wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
                if bad := int(np.count_nonzero(~np.isfinite(wide))):
                    told = f"{where}: {bad} of the {array.size} numbers for input {name!r} are NaN or infinite."
                    self._once("finite", name, told)

    def _once(self, what: str, name: str, message: str) -> None:
        if (what, name) not in self._told:
            self._told.add((what, name))
            self._warn(message)

    def _hint(self, name: str, array: Any) -> str:
        """What was probably forgotten where an array has another shape than its input."""
        dims = dims_of(self._inputs[name]) if name in self._inputs else None
        if dims is None or not hasattr(array, "shape") or _fits(array.shape, dims):
            return ""
        if _fits((1, *array.shape), dims):
            return f" Give {name!r} its batch axis: array[None]."
        if array.ndim == len(dims) > 2:
            last = (0, array.ndim - 1, *range(1, array.ndim - 1))
            if _fits(tuple(array.shape[axis] for axis in last), dims):
                return f" {name!r} seems to have its channels last: array.transpose{last}."
        return ""


def as_array(what: str, given: Any) -> Array:
    """The array that a thing is or holds: numpy's, a tensor of any framework, numbers, lists of them.

    Raises:
        FeedError: It is none of these.
    """
    if np.ma.is_masked(given):  # type: ignore[no-untyped-call]  # numpy says no types of it
        raise FeedError(f"{what} has masked elements, for which no runtime has a word; fill them with numbers.")
    if isinstance(given, np.ndarray):
        return np.asarray(given)
    try:
        if hasattr(given, "asnumpy"):
            return np.asarray(given.asnumpy())
        if callable(getattr(given, "numpy", None)):
            return _of_tensor(given)
        if given is not None and not isinstance(given, str | bytes | dict | set):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy 1.23 warns of lists of several lengths, and gives objects
                return np.asarray(given)
    except Exception as error:
        raise FeedError(
            f"{what} is a {type(given).__name__} that gives no array: {type(error).__name__}: "
            f"{' '.join(str(error).split()).rstrip('.')}."
        ) from error
    raise FeedError(
        f"{what} is {'None' if given is None else f'a {type(given).__name__}'}, which is no array; give one of numpy's."
    )


def is_array(given: Any) -> bool:
    """Whether a thing is an array or a tensor itself, rather than something that holds several."""
    if isinstance(given, type):
        return False
    return hasattr(given, "__array__") or hasattr(given, "asnumpy") or callable(getattr(given, "numpy", None))


def _of_tensor(tensor: Any) -> Array:
    """A tensor with ``numpy()``; torch's may have a gradient, be on another device or of a type that numpy lacks."""
    for step in ("detach", "cpu"):
        if hasattr(tensor, step):
            tensor = getattr(tensor, step)()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        if not hasattr(tensor, "float"):
            raise
        return np.asarray(tensor.float().numpy())  # bfloat16 and float8, which float32 holds


def _family(dtype: np.dtype[Any]) -> Family:
    if dtype.kind in "OSU":
        return "text"
    if dtype.kind == "b":
        return "bool"
    if dtype.kind in "iu":
        return "int"
    if dtype.kind == "f":
        return "float"
    if dtype.kind == "c":
        return "complex"
    if dtype.kind == "V" and dtype.type is not np.void and hasattr(ml_dtypes, dtype.name):
        return "float" if "float" in dtype.name else "int"
    return "other"


def _called(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "O":
        return "Python objects (or lists of several lengths)"
    if dtype.kind == "V" and dtype.names is None:
        return f"raw bytes ({dtype.itemsize} each, as numpy saves bfloat16 and other types it does not know)"
    return str(dtype)


def _whole(what: str, array: Array, to: np.dtype[Any]) -> Array:
    """Numbers for an integer or boolean input, if every one of them is one."""
    if _family(array.dtype) == "float":
        wide = array.astype(np.float64)
        if not np.array_equal(wide, np.floor(wide)) or not np.isfinite(wide).all():
            odd = wide[(wide != np.floor(wide)) | ~np.isfinite(wide)][0]
            raise FeedError(
                f"{what} takes {to.name}, {odd:g} among the {array.dtype} given is no whole number; round them first."
            )
        array = wide
    if array.size:
        low, high = int(array.min()), int(array.max())
        info = None if to.kind == "b" else ml_dtypes.iinfo(to)  # type: ignore[no-untyped-call]  # ml_dtypes says none
        first, last = (0, 1) if info is None else (int(info.min), int(info.max))
        if low < first or high > last:
            raise FeedError(
                f"{what} takes {to.name}, {low if low < first else high} does not fit it; give numbers from {first} "
                f"to {last}."
            )
    return array.astype(to)


def _beyond_double(array: Array) -> bool:
    """Whether integers are too large for the comparison in double precision to be exact."""
    return bool(array.size) and max(abs(int(array.min())), abs(int(array.max()))) > 2**53


def _fits(shape: tuple[int, ...], dims: tuple[int | str | None, ...]) -> bool:
    return len(shape) == len(dims) and all(
        not isinstance(dim, int) or dim == size for size, dim in zip(shape, dims, strict=True)
    )


def _listed(names: Sequence[str] | tuple[str, ...]) -> str:
    return ", ".join(map(repr, names)) or "none"
