"""Example inputs, which torch.export runs a module with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError
from graphkit.frameworks.torch.caches import is_cache_tree
from graphkit.frameworks.torch.nested import put, structure

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch

    from graphkit.frameworks.base import InputSpec

__all__ = ["Blank", "Sample", "fitting", "from_program", "from_specs"]

_FREE_SIZE: Final = 64
"""Size that stands in for a free dimension other than the batch."""
_OTHER_SIZES: Final = (24, 7, 480, 8000)
"""Sizes to try in its place: of small tables, and of recordings, of which layers need some hundred samples."""
_BATCH: Final = 2
"""Batch to trace a free batch with: torch.export takes sizes 0 and 1 for constants."""


@dataclass(frozen=True, slots=True, eq=False)
class Blank:
    """One tensor input to be filled in.

    Attributes:
        shape: Dimensions; None is a free one.
        dtype: Element type.
        free: Size that stands in for a free dimension other than the batch.
    """

    shape: tuple[int | None, ...]
    dtype: torch.dtype
    free: int = _FREE_SIZE

    def filled(self) -> Blank:
        """The blank with example sizes in place of its free dimensions."""
        sizes = [self.free if size is None else size for size in self.shape]
        return Blank((_BATCH, *sizes[1:]) if self.shape and self.shape[0] is None else tuple(sizes), self.dtype)


@dataclass(frozen=True, slots=True)
class Sample:
    """The arguments of a module, with blanks where its tensor inputs go.

    Attributes:
        args: Positional arguments: pytrees of blanks and constants.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def blanks(self) -> list[Blank]:
        """All blanks, in order."""
        from torch.utils import _pytree

        return [leaf for leaf in _pytree.tree_leaves((self.args, dict(self.kwargs))) if isinstance(leaf, Blank)]

    @property
    def batch(self) -> int | None:
        """Size of the first input's first dimension, None where that is free or there is none."""
        return next((blank.shape[0] for blank in self.blanks if blank.shape), None)

    def shares_batch(self, blank: Blank) -> bool:
        """Whether the first dimension of an input is as large as that of the first input."""
        return bool(blank.shape) and blank.shape[0] == self.batch

    def others(self) -> Iterator[Sample]:
        """The same arguments with other sizes in place of the free ones; none where these depend on one another.

        A module may take the usual size for a constant, as it is that of a table, or have no room for it, or need more.
        """
        free = [blank for blank in self.blanks if None in blank.shape[1:]]
        if len({blank.free for blank in free}) == 1:
            for size in _OTHER_SIZES:
                yield Sample(*self.map(partial(replace, free=size)))

    def tensors(self, batch: int | None = None, seed: int = 0) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments with seeded random numbers for float inputs and zeros for the others.

        Args:
            batch: Size of the dimensions that share the batch; None for the sample's own, or 2 where that is free.
            seed: Seed of the numbers.
        """
        import torch

        rng = torch.Generator().manual_seed(seed)

        def fill(blank: Blank) -> torch.Tensor:
            shape = [size or 0 for size in blank.filled().shape]
            if batch is not None and self.shares_batch(blank):
                shape[0] = batch
            if blank.dtype.is_floating_point:
                return torch.rand(shape, generator=rng).to(blank.dtype)
            return torch.zeros(shape, dtype=blank.dtype)

        return self.map(fill)

    def map(self, function: Callable[[Blank], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with something else in place of every blank."""
        from torch.utils import _pytree

        args, kwargs = _pytree.tree_map(
            lambda leaf: function(leaf) if isinstance(leaf, Blank) else leaf, (tuple(self.args), dict(self.kwargs))
        )
        return args, kwargs


def from_specs(
    specs: Sequence[InputSpec],
    parameters: Sequence[inspect.Parameter],
    dtype: torch.dtype,
    label: str,
    most: int = 0,
) -> Sample:
    """Arguments as ``--input`` describes them.

    ``features.0`` is the first tensor in the list ``features``, ``pair.left`` that under ``"left"`` in the dictionary
    ``pair``, and ``past_key_values.0.key`` the keys of the first layer in a cache of the transformers library.

    Args:
        specs: Given inputs.
        parameters: Those of ``forward``.
        dtype: Element type of inputs that have none of their own.
        label: How to call the source in messages.
        most: Positions that the module has, which two inputs with free lengths have room in; 0 for any number.

    Raises:
        InputError: None is given, one is unknown, or a required one is missing.
    """
    known = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    variadic = next((one for one in parameters if one.kind == one.VAR_POSITIONAL), None)
    listed = ", ".join(f"--input {one.name}:SHAPE" for one in known if one.default is one.empty)
    if not specs:
        raise InputError(
            f"The shapes of the inputs of {label} are not known; give {listed or '--input SHAPE'}, "
            f"e.g. {known[0].name if known else 'x'}:1x3x224x224."
        )
    free = min(_FREE_SIZE, max(most // 2, 2)) if most else _FREE_SIZE
    given: dict[str, Any] = {}
    extra: list[Any] = []
    within: dict[str, dict[str, Any]] = {}
    for spec in specs:
        leaf = spec.constant.value if spec.constant is not None else Blank(spec.shape, _torch_dtype(spec, dtype), free)
        name = spec.name or next((one.name for one in known if one.name not in given and one.name not in within), "")
        argument, *steps = _steps(name, known)
        if steps:
            put(within.setdefault(argument, {}), steps, leaf, name)
        elif any(parameter.name == name for parameter in known):
            given[name] = leaf
        elif variadic is not None and not spec.name:
            extra.append(leaf)
        else:
            takes = ", ".join(parameter.name for parameter in known) or "no inputs"
            if not spec.name:
                raise InputError(f"{len(specs)} inputs are given for {label}, whose forward takes {takes}.")
            raise InputError(f"{label} has no input {spec.name!r}; its forward takes {takes}.")
    annotations = {parameter.name: str(parameter.annotation) for parameter in known}
    for argument, tree in within.items():
        if argument in given:
            raise InputError(f"Input {argument!r} of {label} is given both as a whole and by its parts; leave one out.")
        if is_cache_tree(tree) and ("Cache" in annotations.get(argument, "") or argument.endswith("past_key_values")):
            given[argument] = tree
        else:
            given[argument] = structure(tree, argument, tuples="uple" in annotations.get(argument, ""))
    _match_masks(given)
    missing = [
        parameter.name for parameter in known if parameter.default is parameter.empty and parameter.name not in given
    ]
    if missing:
        raise InputError(f"The shape of input {missing[0]!r} of {label} is not known; give all of {listed}.")
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for place, parameter in enumerate(known):
        if parameter.name in given:
            if parameter.kind == parameter.KEYWORD_ONLY or len(args) < place:
                kwargs[parameter.name] = given[parameter.name]
            else:
                args.append(given[parameter.name])
    return Sample((*args, *extra), kwargs)


def _match_masks(given: dict[str, Any]) -> None:
    """Make masks of the transformers library, where their length is free, as long as a cache and what follows it.

    With another length the code would take another way: it pads masks that are too short.
    """
    for cache in [tree for tree in given.values() if is_cache_tree(tree)]:
        layer = next(iter(cache.values()))
        prefix = "decoder_" if "decoder" in layer else ""
        mask = given.get(f"{prefix}attention_mask")
        keys = _length(layer.get("decoder", layer).get("key"), 2)
        fresh = _length(given.get(f"{prefix}input_ids", given.get(f"{prefix}inputs_embeds")), 1)
        if isinstance(mask, Blank) and keys and fresh:
            given[f"{prefix}attention_mask"] = Blank(mask.shape, mask.dtype, keys + fresh)


def _length(blank: Any, axis: int) -> int:
    """The example size of an axis; 0 where there is no such axis."""
    return (blank.filled().shape[axis] or 0) if isinstance(blank, Blank) and len(blank.shape) > axis else 0


def _steps(name: str, known: Sequence[inspect.Parameter]) -> list[str]:
    """The argument that a name is of, and the steps within it.

    ``features.0`` is in the argument ``features``, ``1.key`` in the second one.
    """
    argument, *steps = name.split(".")
    if any(parameter.name == name for parameter in known) or not all((argument, *steps)):
        return [name]
    if argument.isdigit() and steps and int(argument) < len(known):
        argument = known[int(argument)].name
    return [argument, *steps] if any(one.name == argument for one in known) else [name]


def _torch_dtype(spec: InputSpec, usual: torch.dtype) -> torch.dtype:
    return _dtype(spec.dtype) if spec.dtype else usual


def from_program(program: torch.export.ExportedProgram) -> Sample:
    """The arguments that an exported program was made for, its symbolic dimensions as free ones."""
    import torch
    from torch.utils import _pytree

    metas = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    leaves: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind is not torch.export.graph_signature.InputKind.USER_INPUT:
            continue
        value = metas.get(spec.arg.name)
        if isinstance(value, torch.Tensor):
            leaves.append(Blank(tuple(size if isinstance(size, int) else None for size in value.shape), value.dtype))
        else:
            leaves.append(getattr(spec.arg, "value", None))
    tree = program.call_spec.in_spec
    assert tree is not None
    args, kwargs = _pytree.tree_unflatten(leaves, tree)
    return Sample(tuple(args), kwargs)


def fitting(
    sample: Sample, specs: Sequence[InputSpec], names: Sequence[str], label: str, *, any_batch: bool
) -> dict[Blank, Blank]:
    """Check given inputs against those that a program has.

    Args:
        sample: The program's own.
        specs: Given inputs.
        names: Names of the program's inputs, in order.
        label: How to call the source in messages.
        any_batch: Whether the batch may differ.

    Returns:
        What was given, by the blank that it is for.

    Raises:
        InputError: A given input is unknown, or of another rank, size or element type.
    """
    blanks = dict(zip(names, sample.blanks, strict=True))
    unnamed = iter(names)
    given: dict[Blank, Blank] = {}
    for spec in specs:
        name = spec.name or next(unnamed, "")
        if name not in blanks:
            shown = repr(spec.name) if spec.name else f"number {len(specs)}"
            raise InputError(f"{label} has no input {shown}; its inputs are {', '.join(names)}.")
        blank = blanks[name]
        fits = len(spec.shape) == len(blank.shape) and all(
            size is None or wanted is None or size == wanted or (any_batch and axis == 0 and sample.shares_batch(blank))
            for axis, (size, wanted) in enumerate(zip(blank.shape, spec.shape, strict=True))
        )
        if not fits:
            raise InputError(
                f"Input {name!r} of {label} has shape {_shown(blank.shape)}, not {_shown(spec.shape)}; give its "
                "own, or export "
                f"the program with that size free."
            )
        if spec.dtype and _dtype(spec.dtype) != blank.dtype:
            raise InputError(
                f"Input {name!r} of {label} is of type {str(blank.dtype)[6:]}, not {spec.dtype}; leave the element "
                "type out."
            )
        sizes = [wanted or size for size, wanted in zip(blank.shape, spec.shape, strict=True)]
        given[blank] = Blank(tuple(sizes), blank.dtype)
    return given


def _shown(shape: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape) or "scalar"


def _dtype(name: str) -> torch.dtype:
    import torch

    from graphkit.ir.dtypes import dtype_of

    row = dtype_of(_numpy(name))
    found = getattr(torch, row.torch or "", None)
    if not isinstance(found, torch.dtype):
        raise InputError(f"PyTorch has no element type {name!r}; use one such as float32 or int64.")
    return found


def _numpy(name: str) -> Any:
    import ml_dtypes
    import numpy as np

    try:
        return np.dtype(getattr(ml_dtypes, name, name))
    except TypeError as error:
        raise InputError(f"{name!r} is no element type; use one such as float32 or int64.") from error
