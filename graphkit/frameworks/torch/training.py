"""Steps of training with torch's own optimizer, the same for exported programs and for written source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.errors import ExecutionError, FeedError
from graphkit.frameworks.base import Adam, Step
from graphkit.frameworks.feeds import check_classes, check_feeds, check_targets
from graphkit.frameworks.torch.gradients import gradients
from graphkit.frameworks.torch.tensors import to_array, to_tensor
from graphkit.ir.training import losses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir
    import torch

    from graphkit.frameworks.base import Batch, Rule

__all__ = ["steps"]


def steps(
    model: ir.Model,
    run: Callable[[list[torch.Tensor]], list[torch.Tensor]],
    parameters: Mapping[str, torch.Tensor],
    buffers: Callable[[], Mapping[str, torch.Tensor]],
    batches: Iterable[Batch],
    rule: Rule,
) -> Iterator[Step]:
    """Train tensors in place, one step for each batch.

    Args:
        model: The canonical model, for names.
        run: Computes the model's outputs from its inputs and the current tensors, in training mode.
        parameters: What is trained, by IR value name; a tensor may have several names.
        buffers: Gives the running statistics, by IR value name.
        batches: What to train on.
        rule: The optimizer's numbers.

    Raises:
        FeedError: A feed or a target is missing, unknown, or of the wrong shape or dtype.
        ExecutionError: PyTorch refused.
    """
    import torch

    trained = list({id(tensor): tensor.requires_grad_() for tensor in parameters.values()}.values())
    optimizer = _optimizer(trained, rule)
    names = [value.name or "" for value in model.graph.outputs]
    for number, batch in enumerate(batches, 1):
        inputs = [to_tensor(array) for array in check_feeds(model, batch.feeds).values()]
        targets = check_targets(model, batch.targets, batch.loss)
        with torch.enable_grad():
            outputs = dict(zip(names, run(inputs), strict=True))
            loss = _loss(outputs, targets, batch, losses(model))
        weight = 1.0 if targets else batch.weight
        for tensor, gradient in zip(trained, _gradients(loss, trained), strict=True):
            tensor.grad = gradient * weight
        if isinstance(rule, Adam):
            for group in optimizer.param_groups:
                group["lr"], group["eps"] = rule.at(number)
        optimizer.step()
        yield Step(
            {name: _copied(output) for name, output in outputs.items()},
            np.asarray(_copied(loss)),
            {name: _copied(tensor) for name, tensor in parameters.items()},
            {name: _copied(tensor) for name, tensor in buffers().items()},
            unbiased=True,
        )


def _optimizer(trained: list[torch.Tensor], rule: Rule) -> torch.optim.Optimizer:
    import torch

    if isinstance(rule, Adam):
        return torch.optim.Adam(
            trained, rule.lr, betas=(rule.beta1, rule.beta2), eps=rule.epsilon, weight_decay=rule.weight_decay
        )
    return torch.optim.SGD(trained, lr=rule.lr, momentum=rule.momentum, weight_decay=rule.weight_decay)


def _loss(
    outputs: Mapping[str, torch.Tensor],
    targets: Mapping[str, npt.NDArray[np.generic]],
    batch: Batch,
    own: Sequence[str],
) -> torch.Tensor:
    if own:
        return sum((outputs[name] for name in own[1:]), start=outputs[own[0]])
    parts = [_part(name, outputs[name], target, batch) for name, target in targets.items()]
    return sum(parts[1:], start=parts[0]) * batch.weight


def _part(name: str, output: torch.Tensor, target: npt.NDArray[np.generic], batch: Batch) -> torch.Tensor:
    import torch

    shape = tuple(output.shape)
    wanted = (shape[0], *shape[2:]) if batch.loss == "cross-entropy" else shape
    if target.shape != wanted:
        told = f"Target {name!r} has shape {target.shape}, and its output {shape}"
        raise FeedError(f"{told}; give one of shape {wanted}.")
    scaled = output * batch.scales[name]
    if batch.loss == "cross-entropy":
        check_classes(name, target, shape[1])
        return torch.nn.functional.cross_entropy(scaled, to_tensor(target))
    return (scaled - to_tensor(target)).square().mean() * 0.5


def _gradients(loss: torch.Tensor, trained: list[torch.Tensor]) -> list[torch.Tensor]:
    """Gradients, zeros where the loss does not depend on a tensor: SGD skips what has none, and would not decay it."""
    try:
        return gradients([loss], [None], trained)
    except Exception as error:
        from graphkit.frameworks.torch.explain import sentence

        raise ExecutionError(f"PyTorch refuses to train the model: {sentence(error)}.") from error


def _copied(tensor: torch.Tensor) -> npt.NDArray[np.generic]:
    return to_array(tensor).copy()
