"""Pictures as feeds: what is done to them, and where they have no place."""

from __future__ import annotations

import sys

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import FeedError, FormatError, InputError, MissingError
from graphkit.running.pictures import Scaling, read_pictures

Image = pytest.importorskip("PIL.Image")

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


def _input(*dims: int | str | None, dtype: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
    return ir.Value(name="x", shape=ir.Shape(dims), type=ir.TensorType(dtype))


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(RGB).save(path)
    return path


def test_a_picture_of_the_inputs_size_is_scaled_and_laid_out(photo):
    found, (told,) = read_pictures([photo], _input("n", 3, 6, 8), Scaling())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], RGB.transpose(2, 0, 1) / 255, atol=1e-7)
    assert told == f"Input 'x' is the picture {photo}: scaled to 0 … 1, laid out as NCHW."


def test_channels_last_and_free_sizes(photo):
    found, (told,) = read_pictures([photo], _input("n", "h", "w", 3), Scaling())
    np.testing.assert_allclose(found[0], RGB / 255, atol=1e-7)
    assert "laid out as NHWC" in told


def test_mean_and_deviation_of_each_channel(photo):
    scaling = Scaling((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    found, (told,) = read_pictures([photo], _input("n", 3, 6, 8), scaling)
    expected = (RGB / 255 - np.array(scaling.mean)) / np.array(scaling.std)
    np.testing.assert_allclose(found[0], expected.transpose(2, 0, 1), atol=1e-6)
    assert "minus (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225)" in told


def test_resizing_follows_height_and_width(photo):
    found, (told,) = read_pictures([photo], _input(1, 3, 3, 4), Scaling())
    assert found.shape == (1, 3, 3, 4)
    assert "resized from 6×8 to 3×4" in told
    assert found.mean() == pytest.approx(RGB.mean() / 255, abs=0.02)


def test_bytes_stay_as_they_are(photo):
    found, (told,) = read_pictures([photo], _input("n", 6, 8, 3, dtype=ir.DataType.UINT8), Scaling())
    np.testing.assert_array_equal(found[0], RGB)
    assert "its bytes as they are" in told
    with pytest.raises(InputError, match="takes bytes, which are not scaled"):
        read_pictures([photo], _input("n", 6, 8, 3, dtype=ir.DataType.UINT8), Scaling((0.5,)))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (4, "RGBA")])
def test_colours_become_the_channels_of_the_input(photo, channels, mode):
    found, (told,) = read_pictures([photo], _input("n", channels, 6, 8), Scaling())
    expected = np.asarray(Image.open(photo).convert(mode)).reshape(6, 8, channels)
    np.testing.assert_allclose(found[0], expected.transpose(2, 0, 1) / 255, atol=1e-7)
    assert f"RGB made {mode}" in told


def test_a_photo_is_turned_as_its_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    path = tmp_path / "turned.png"
    Image.fromarray(RGB).save(path, exif=exif)
    found, _ = read_pictures([path], _input("n", 3, "h", "w"), Scaling())
    np.testing.assert_allclose(found[0], np.rot90(RGB, -1).transpose(2, 0, 1) / 255, atol=1e-7)


def test_several_pictures_are_a_batch_and_one_fills_a_fixed_one(photo, tmp_path):
    other = tmp_path / "other.png"
    Image.fromarray(255 - RGB).save(other)
    found, told = read_pictures([photo, other], _input("n", 3, 6, 8), Scaling())
    np.testing.assert_allclose(found[0] + found[1], np.ones((3, 6, 8)), atol=1e-6)
    assert len(told) == 2
    found, told = read_pictures([photo], _input(3, 3, 6, 8), Scaling())
    assert found.shape == (3, 3, 6, 8)
    assert (found[0] == found[2]).all()
    assert "the same picture 3 times" in told[-1]
    with pytest.raises(FeedError, match="a batch of 3, 2 pictures were given"):
        read_pictures([photo, other], _input(3, 3, 6, 8), Scaling())


def test_pictures_of_different_sizes_need_a_size(photo, tmp_path):
    other = tmp_path / "other.png"
    Image.fromarray(RGB[:3]).save(other)
    with pytest.raises(FeedError, match=r"different sizes, 3×8 and 6×8.*--input x:\?x3x224x224"):
        read_pictures([photo, other], _input("n", 3, "h", "w"), Scaling())


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (_input("n", 16, dtype=ir.DataType.INT64), "'x' is int64 of n×16; pictures go to inputs of floats or"),
        (_input("n", 16), "pictures go to inputs of four axes"),
        (ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT)), "float of unknown shape; pictures go"),
        (_input("n", 7, 5, 6), "neither its second nor its last axis is known to be of 1, 3 or 4 channels"),
        (_input("n", "c", "h", "w"), r"--input x:\?x3x224x224"),
    ],
)
def test_inputs_that_are_no_place_for_pictures(photo, value, says):
    with pytest.raises(FeedError, match=says):
        read_pictures([photo], value, Scaling())


def test_files_that_are_no_pictures(tmp_path, photo):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with pytest.raises(FormatError, match="cannot be read as a picture: cannot identify"):
        read_pictures([text], _input("n", 3, 6, 8), Scaling())
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:-60])
    with pytest.raises(FormatError, match="cannot be read as a picture"):
        read_pictures([cut], _input("n", 3, 6, 8), Scaling())
    with pytest.raises(InputError, match="No such file"):
        read_pictures([tmp_path / "gone.png"], _input("n", 3, 6, 8), Scaling())


def test_more_than_eight_bits_are_not_guessed_at(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray((np.arange(48).reshape(6, 8) * 1000).astype(np.uint16)).save(path)
    with pytest.raises(FormatError, match="more than 8 bits a channel"):
        read_pictures([path], _input("n", 1, 6, 8), Scaling())


def test_scalings_that_are_none(photo):
    with pytest.raises(InputError, match="standard deviation of 0"):
        Scaling(std=(0.1, 0.0, 0.2))
    with pytest.raises(InputError, match="finite"):
        Scaling(mean=(float("nan"),))
    with pytest.raises(InputError, match="--mean gives 2 numbers for 3 channels"):
        read_pictures([photo], _input("n", 3, 6, 8), Scaling((0.1, 0.2)))


def test_without_pillow_it_is_said_what_to_install(photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingError, match=r"pip install 'graphkit\[image\]'"):
        read_pictures([photo], _input("n", 3, 6, 8), Scaling())
