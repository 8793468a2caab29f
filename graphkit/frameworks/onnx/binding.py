"""Feeds and outputs of ONNX Runtime that stay on a device: its IO binding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.frameworks.onnx.values import is_plain, ort_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

__all__ = ["Binding"]


class Binding:
    """One session's feeds and outputs as arrays on a device.

    A run is :meth:`feed`, which copies arrays to the device, :meth:`run`, which computes there, and :meth:`outputs`,
    which copies the results from it. The second may be called again on the same feeds, and then writes to the same
    memory.

    Args:
        session: ONNX Runtime's session.
        outputs: Names of the outputs wanted.
        device: ONNX Runtime's name of the device, ``"cpu"`` or ``"cuda"``.
        number: Which of several such devices.
    """

    def __init__(self, session: Any, outputs: Sequence[str], device: str, number: int = 0) -> None:
        self._session = session
        self._names = list(outputs)
        self._where = device, number
        self._binding = session.io_binding()
        self._held: dict[str, Any] = {}

    def feed(self, feeds: Mapping[str, npt.NDArray[np.generic]], dtypes: Mapping[str, int]) -> None:
        """Copy arrays to the device, into memory that an earlier array of the same shape took there.

        Args:
            feeds: An array for each input.
            dtypes: ONNX's numbers of the inputs' element types.

        Raises:
            TypeError: A feed is text, a sequence or absent, which have no place on a device.
        """
        for name, array in feeds.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind in "OUS":
                raise TypeError(f"input {name!r} is no tensor of numbers, and nothing else can be bound to a device")
            held = self._held.get(name)
            if held is not None and is_plain(array) and tuple(held.shape()) == array.shape:
                held.update_inplace(array)
                continue
            # On the CPU ONNX Runtime only points to an array, which would change under it.
            own = array.copy() if self._where[0] == "cpu" or not is_plain(array) else array
            self._held[name] = ort_value(own, dtypes[name], *self._where)
            self._binding.bind_ortvalue_input(name, self._held[name])
        # Outputs of a former run would be taken for memory to write into, whatever their shapes are now.
        self._binding.clear_binding_outputs()
        for name in self._names:
            self._binding.bind_output(name, *self._where)
        self._binding.synchronize_inputs()

    def run(self) -> None:
        """Compute the outputs from what is fed, and wait for them.

        Raises:
            Exception: Whatever ONNX Runtime raises.
        """
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def outputs(self) -> list[npt.NDArray[np.generic]]:
        """The outputs of the last run, copied from the device."""
        copied: list[npt.NDArray[np.generic]] = self._binding.copy_outputs_to_cpu()
        return copied
