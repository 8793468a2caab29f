"""What variables of a symbol say of whether they are trained.

``__lr_mult__`` and ``__wd_mult__`` are what MXNet's optimizers multiply the learning rate and the weight decay of an
argument by (``mxnet.optimizer.Optimizer.set_lr_mult``). ``__kind__`` is graphkit's own; MXNet carries it along unread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from graphkit.ir.params import Kind
    from graphkit.ops.mxgraph import MxNode

__all__ = ["BUFFER", "CONSTANT", "kind_of_variable"]

_KIND: Final = "__kind__"
CONSTANT: Final = {"__lr_mult__": "0.0", "__wd_mult__": "0.0"}
"""Attributes of a constant, which optimizers leave alone."""
BUFFER: Final = {**CONSTANT, _KIND: "buffer"}
"""Attributes of state that is an argument: buffers that are no moving statistics, and frozen parameters."""


def kind_of_variable(variable: MxNode) -> Kind:
    """What an argument that a value is stored for is, as far as it says.

    A constant has both rates zero, or is a ``Constant`` of Gluon, whose ``__init__`` says so. What only its learning
    rate is zero of is a parameter that somebody froze.
    """
    hidden = variable.hidden
    if hidden.get(_KIND) == "buffer":
        return "buffer"
    if CONSTANT.items() <= hidden.items() or hidden.get("__init__", "").startswith(f"Constant_{variable.name}_"):
        return "constant"
    try:
        return "buffer" if float(hidden.get("__lr_mult__", 1)) == 0 else "parameter"
    except ValueError:
        return "parameter"
