"""How windows are placed, against a count of them one by one."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from graphkit.ops.nn.windows import Window

SMALL = st.integers(1, 4)


def starts(size: int, window: Window) -> list[int]:
    """Where ONNX's windows start: they fit in, or overhang the end and start inside the input or its first padding."""
    (stride,), (extent,), (begin,), (end,) = window.strides, window.extents, window.begins, window.ends
    found = []
    start = -begin
    while start + extent <= size + end:
        found.append(start)
        start += stride
    if window.ceil and start < size and start - stride + extent < size + end:
        found.append(start)
    return found


@given(size=st.integers(1, 12), taps=SMALL, stride=SMALL, dilation=SMALL, data=st.data())
def test_padding_the_end_makes_overhanging_windows_fit(
    size: int, taps: int, stride: int, dilation: int, data: st.DataObject
) -> None:
    begin, end = data.draw(st.integers(0, taps - 1)), data.draw(st.integers(0, taps - 1))
    window = Window((taps,), (stride,), (dilation,), (begin,), (end,), ceil=True)
    (extent,) = window.extents
    assume(extent <= size + begin + end)
    count = (size + begin + window.whole_ends[0] - extent) // stride + 1
    assert count == len(starts(size, window))


@given(size=st.integers(1, 12), taps=SMALL, stride=SMALL, ceil=st.booleans(), data=st.data())
def test_a_pooling_convention_has_the_same_windows(
    size: int, taps: int, stride: int, ceil: bool, data: st.DataObject
) -> None:
    pad = data.draw(st.integers(0, taps - 1))
    assume(taps <= size + 2 * pad)
    window = Window((taps,), (stride,), (1,), (pad,), (pad,), ceil)
    expected = len(starts(size, window))
    for spatial in (size,), (None,):
        convention = window.convention(spatial)
        if convention is not None:
            room = size + 2 * pad - taps
            assert expected == 1 + (room // stride if convention == "valid" else -(-room // stride))
    if not ceil:
        assert window.convention((size,)) == "valid"
