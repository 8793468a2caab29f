"""Steps of training on runtimes that execute ONNX: by a graph that makes one, in ONNX's own operators."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from graphkit.errors import FeedError
from graphkit.frameworks.base import Adam, Step
from graphkit.frameworks.feeds import check_classes, check_feeds, check_targets
from graphkit.ir.dims import dims_of
from graphkit.ir.params import of_kind
from graphkit.ir.training import losses
from graphkit.passes.gradient.step import step_model, trainable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Arrays, Batch, Loss, Mode, Rule, Session
    from graphkit.passes.gradient.loss import LossKind
    from graphkit.passes.gradient.step import StepModel

__all__ = ["steps"]


def steps(
    model: ir.Model, mode: Mode, open_: Callable[[ir.Model], Session], batches: Iterable[Batch], rule: Rule
) -> Iterator[Step]:
    """Train from a model's own arrays, one step for each batch.

    Args:
        model: A canonical model in inference form.
        mode: How BatchNorm and Dropout behave.
        open_: Opens a session of a model.
        batches: What to train on.
        rule: The optimizer's numbers.

    Raises:
        FeedError: A feed or a target is missing, unknown, or of the wrong shape or dtype.
        InputError: The model has nothing to train.
        UnsupportedError: Nodes through which no gradient can be expressed.
        ExecutionError: The runtime refused or crashed.
    """
    outputs = [value.name or "" for value in model.graph.outputs]
    buffers = {
        value.name or "": np.asarray(value.const_value.numpy())
        for value in of_kind(model, "buffer")
        if value.const_value is not None
    }
    state: dict[str, npt.NDArray[np.generic]] = {}
    opened: dict[LossKind, tuple[StepModel, Session]] = {}
    with ExitStack() as stack:
        for number, batch in enumerate(batches, 1):
            feeds = check_feeds(model, batch.feeds)
            targets = check_targets(model, batch.targets, batch.loss)
            _check_sizes(model, feeds, targets, batch.loss)
            kind: LossKind = "given" if losses(model) else batch.loss
            if kind not in opened:
                step = step_model(model, rule, kind, training=mode != "eval", dropout=mode == "train", weighed=True)
                defaults = _fed(step)
                opened[kind] = step, stack.enter_context(open_(step.model))
                state = state or {name: defaults[name] for name in step.updates}
            step, session = opened[kind]
            found = session.forward({**feeds, **state, **_settings(step, batch, targets, rule, number)})
            _check_shapes(batch, targets, found)
            state = {name: found[after] for name, after in step.updates.items()}
            yield Step(
                {name: found[name] for name in outputs},
                np.asarray(found[step.loss.value.name or ""]),
                {name: state[name] for name in trainable(model)},
                {name: state.get(name, held) for name, held in buffers.items()},
                unbiased=True,
            )


def _fed(step: StepModel) -> dict[str, npt.NDArray[np.generic]]:
    """Make inputs that need not be fed ones that must be; gives their arrays."""
    defaults: dict[str, npt.NDArray[np.generic]] = {}
    for value in step.model.graph.inputs:
        if value.is_initializer() and value.const_value is not None:
            name = value.name or ""
            defaults[name] = np.asarray(value.const_value.numpy())
            step.model.graph.initializers.pop(name)
            value.const_value = None
    return defaults


def _settings(
    step: StepModel, batch: Batch, targets: Arrays, rule: Rule, number: int
) -> dict[str, npt.NDArray[np.generic]]:
    """What a step is fed besides the model's inputs and what the last one gave."""
    loss = step.loss
    numbers = {loss.scales[name]: batch.scales[name] for name in targets}
    numbers[loss.weight] = batch.weight
    numbers[step.rate] = rule.lr
    if isinstance(rule, Adam):
        numbers[step.rate], numbers[step.epsilon] = rule.at(number)
    kinds = {value.name: value.dtype for value in step.model.graph.inputs}
    found: dict[str, npt.NDArray[np.generic]] = {loss.targets[name]: target for name, target in targets.items()}
    for name, given in numbers.items():
        kind = kinds[name]
        assert kind is not None
        found[name] = np.asarray(given, kind.numpy())
    return found


def _check_sizes(model: ir.Model, feeds: Arrays, targets: Arrays, loss: Loss) -> None:
    """Refuse targets whose sizes are not those of the inputs, as far as these tell those of the outputs."""
    dims = {value.name or "": dims_of(value) or () for value in (*model.graph.inputs, *model.graph.outputs)}
    sizes: dict[int | str | None, int] = {}
    for name, array in feeds.items():
        sizes.update(zip(dims[name], array.shape, strict=False))
    for name, target in targets.items():
        own = [dims[name][axis] for axis in range(len(dims[name])) if loss == "mse" or axis != 1]
        known = [dim if isinstance(dim, int) else sizes.get(dim) if dim is not None else None for dim in own]
        if any(size not in (None, found) for size, found in zip(known, target.shape, strict=False)):
            told = "×".join("?" if size is None else str(size) for size in known)
            raise FeedError(f"Target {name!r} has shape {target.shape}, for inputs of these sizes it is {told}.")


def _check_shapes(batch: Batch, targets: Arrays, found: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Refuse targets that do not fit the outputs, which were computed nevertheless."""
    for name, target in targets.items():
        shape = found[name].shape
        wanted = (shape[0], *shape[2:]) if batch.loss == "cross-entropy" else shape
        if target.shape != wanted:
            told = f"Target {name!r} has shape {target.shape}, and its output {shape}"
            raise FeedError(f"{told}; give one of shape {wanted}.")
        if batch.loss == "cross-entropy":
            check_classes(name, target, shape[1])
