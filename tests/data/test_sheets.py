"""Pictures as the weights of a network want them: against Pillow, step by step, and known values."""

from dataclasses import replace

import numpy as np
import pytest

from ravine.data import Preparation, from_arrays, load, parse_data
from ravine.data.checked import check_preparation
from ravine.data.fresh_files import fresh
from ravine.data.reading import SheetReading
from ravine.data.sheet import Sheet
from ravine.errors import DataError, InputError, StudyError

Image = pytest.importorskip("PIL.Image")

LITE0 = Sheet(size=(24, 24), crop=0.875, mean=(0.5,), std=(0.5,))
IMAGENET = Sheet(
    size=(24, 24), crop=0.875, interpolation="bilinear", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(folder, pictures, suffix="png", **options):
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / "ab"[number % 2] / f"{number}.{suffix}", **options)
    return parse_data({"kind": "images", "path": str(folder)})


def bytes_by(sheet, image):
    return SheetReading(sheet=sheet).bytes_of(image)


@pytest.mark.parametrize(
    ("height", "width", "scaled", "corner"),
    # torchvision: the short side becomes int(24 / .875) = 27, the long one int(27 long / short); corners are rounded
    [
        (50, 70, (37, 27), (6, 2)),
        (70, 51, (27, 37), (2, 6)),
        (9, 9, (27, 27), (2, 2)),
        (500, 96, (27, 140), (2, 58)),
    ],
)
def test_scaled_and_cropped_as_torchvision_and_timm_do(height, width, scaled, corner):
    image = Image.fromarray(noise(height, width))
    left, top = corner
    wanted = image.resize(scaled, Image.Resampling.BICUBIC).crop((left, top, left + 24, top + 24))
    found = bytes_by(LITE0, image)
    np.testing.assert_array_equal(found, np.asarray(wanted).transpose(2, 0, 1))


def test_other_ways_to_scale():
    image = Image.fromarray(noise(30, 60))
    wanted = image.resize((20, 20), Image.Resampling.BILINEAR)
    found = bytes_by(Sheet(size=(20, 20), resize="squash", interpolation="bilinear"), image)
    np.testing.assert_array_equal(found, np.asarray(wanted).transpose(2, 0, 1))
    wide = bytes_by(Sheet(size=(10, 40)), image)  # covers it: 20 x 40, and then the middle
    wanted = image.resize((40, 20), Image.Resampling.BICUBIC).crop((0, 5, 40, 15))
    np.testing.assert_array_equal(wide, np.asarray(wanted).transpose(2, 0, 1))


def test_scaling_down_has_no_aliasing():
    stripes = np.zeros((500, 500, 3), dtype=np.uint8)
    stripes[:, ::2] = 255  # finer than any pixel of what it becomes
    found = bytes_by(Sheet(size=(96, 96)), Image.fromarray(stripes))
    inside = found[:, 2:-2, 2:-2].astype(float)
    assert abs(inside.mean() - 127.5) < 1.0
    assert inside.std() < 8.0  # without antialiasing: 127
    assert np.asarray(Image.fromarray(stripes).resize((96, 96), Image.Resampling.NEAREST)).std() > 100


def test_a_strip_that_would_not_fit_into_memory_when_scaled_is_refused(tmp_path):
    write(tmp_path, [noise(30, 50, number) for number in range(8)])
    Image.new("RGB", (30_000, 1)).save(tmp_path / "a" / "strip.png")
    spec = parse_data({"kind": "images", "path": str(tmp_path)})
    with pytest.raises(
        DataError, match=r"strip\.png: 1 x 30,?000 pixels, which would be 224 x 6,720,000 when scaled"
    ):
        load(spec, reading=Sheet(size=(224, 224)))
    with pytest.raises(DataError, match=r"^arrays: its pictures have 1 x 30,?000 pixels, which would be"):
        load(
            from_arrays(np.zeros((9, 1, 30_000), np.uint8), np.arange(9) % 2), reading=Sheet(size=(224, 224))
        )


def test_red_is_the_first_channel_or_the_last():
    red = Image.new("RGB", (30, 30), (255, 0, 0))
    assert bytes_by(LITE0, red)[:, 0, 0].tolist() == [255, 0, 0]
    assert bytes_by(Sheet(size=(24, 24), channels="bgr"), red)[:, 0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("sheet", "byte", "fed"),
    [
        (LITE0, 255, [1.0, 1.0, 1.0]),
        (LITE0, 0, [-1.0, -1.0, -1.0]),
        (Sheet(size=(24, 24)), 51, [0.2, 0.2, 0.2]),
        (Sheet(size=(24, 24), high=255.0), 51, [51.0, 51.0, 51.0]),
        (Sheet(size=(24, 24), mean=(127.0,), std=(128.0,), high=255.0), 255, [1.0, 1.0, 1.0]),
        (IMAGENET, 255, [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]),
        (Sheet(size=(24, 24), low=-1.0, high=1.0), 0, [-1.0, -1.0, -1.0]),
    ],
)
def test_what_the_network_is_fed(tmp_path, sheet, byte, fed):
    spec = write(tmp_path, [np.full((30, 40, 3), byte, dtype=np.uint8)] * 6)
    x = load(spec, reading=sheet).train.x
    np.testing.assert_allclose(x, np.broadcast_to(np.array(fed).reshape(3, 1, 1), x.shape), atol=1e-6)


def test_a_folder_of_any_sizes_grey_too_and_turned_upright(tmp_path):
    spec = write(tmp_path, [noise(30 + number, 50, number) for number in range(10)])
    Image.fromarray(noise(40, 40)).convert("L").save(tmp_path / "a" / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    sideways = Image.fromarray(noise(30, 60))
    sideways.save(tmp_path / "b" / "turned.png", exif=exif)
    data = load(spec, reading=LITE0)
    assert data.input_shape == (3, 24, 24)
    assert data.train.kept.dtype == np.uint8
    inputs = data.preparation.inputs
    grey = inputs.apply([tmp_path / "a" / "grey.png"])[0]
    assert (grey[0] == grey[1]).all()
    assert (grey[0] == grey[2]).all()
    turned = inputs.apply([tmp_path / "b" / "turned.png"])[0]
    upright = bytes_by(LITE0, sideways.transpose(Image.Transpose.ROTATE_270))
    np.testing.assert_allclose(turned, upright / 127.5 - 1.0, atol=1e-6)


def test_the_preparation_reads_new_files_as_training_did(tmp_path):
    spec = write(tmp_path, [noise(30, 50, number) for number in range(10)])
    data = load(spec, reading=IMAGENET)
    again = Preparation.of(data.preparation.content())
    assert again == data.preparation
    check_preparation(again, "preparation")
    files = sorted(tmp_path.glob("*/*.png"))
    known = {x.tobytes() for split in (data.train, data.validation, data.test) for x in split.x}
    assert {x.tobytes() for x in again.inputs.apply(files)} == known
    array = np.stack([noise(30, 50, 0)] * 2).transpose(0, 3, 1, 2)
    (_, prepared), *_ = fresh(again, array).parts()
    np.testing.assert_array_equal(prepared[0], again.inputs.apply([tmp_path / "a" / "0.png"])[0])


@pytest.mark.parametrize(
    "change",
    [
        {"crop": 0.0},
        {"crop": 1.5},
        {"size": [0, 24]},
        {"size": None},
        {"size": [24, 2_000_000]},
        {"std": [0.0]},
        {"mean": [0.1, 0.2]},
        {"low": 1.0},
        {"crop": 1e-5},
    ],
)
def test_a_preparation_whose_sheet_cannot_be_is_refused(tmp_path, change):
    content = load(write(tmp_path, [noise(30, 50)] * 6), reading=LITE0).preparation.content()
    content["inputs"]["reading"]["sheet"] |= change
    with pytest.raises(DataError, match="sheet"):
        check_preparation(Preparation.of(content), "preparation")


def test_the_size_of_the_data_takes_the_place_of_the_weights(tmp_path):
    write(tmp_path, [noise(30, 50, number) for number in range(8)])
    spec = parse_data({"kind": "images", "path": str(tmp_path), "size": 16})
    data = load(spec, reading=LITE0)
    assert data.input_shape == (3, 16, 16)
    assert data.fingerprint != load(spec, reading=replace(LITE0, mean=(0.4,))).fingerprint
    assert data.notes[0] == "pictures are of 16 x 16 pixels, as data.size says; the weights' own are 24 x 24"
    with pytest.raises(DataError, match=r"^data.size: missing: the weights don't say"):
        load(parse_data({"kind": "images", "path": str(tmp_path)}), reading=Sheet())


def test_a_scaling_of_ones_own_is_refused(tmp_path):
    write(tmp_path, [noise(30, 50, number) for number in range(8)])
    for spec in (
        {"kind": "images", "path": str(tmp_path), "normalize": "channel"},
        {"kind": "digits", "normalize": "none"},
    ):
        with pytest.raises(StudyError, match=r"^data.normalize = '\w+': the weights of the model say how"):
            load(parse_data(spec), reading=LITE0)


def test_digits_are_scaled_up_and_have_three_channels():
    plain, data = load(parse_data("digits")), load(parse_data("digits"), reading=LITE0)
    assert data.input_shape == (3, 24, 24)
    assert data.train.kept.strides[1] == 0  # the channels share their memory
    assert data.notes == (
        "pictures of 8 x 8 pixels were scaled up to 24 x 24, as the weights want",
        "grey pictures have three channels that are the same, as the weights want",
    )
    np.testing.assert_array_equal(data.train.y, plain.train.y)
    raw = load(parse_data({"kind": "digits", "normalize": "none"})).train.x[5, 0]
    bytes_ = np.floor(raw * 255 + 0.5).astype(np.uint8)  # a half goes up
    wanted = bytes_by(LITE0, Image.fromarray(bytes_)) / 127.5 - 1.0
    np.testing.assert_allclose(data.train.some([5])[0], wanted, atol=1e-6)
    (_, new), *_ = fresh(data.preparation, raw[None, None]).parts()
    np.testing.assert_array_equal(new, data.train.some([5]))
    assert data.fingerprint != plain.fingerprint
    assert load(data, reading=LITE0) is data


@pytest.mark.parametrize("order", ["channels last", "channels first", "grey"])
def test_arrays_of_bytes(order, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (12, 20, 20, 3), dtype=np.uint8)
    first = bytes_by(LITE0, Image.fromarray(x[0]))
    if order == "channels first":
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    elif order == "grey":
        x = x[..., 0]
        first = bytes_by(LITE0, Image.fromarray(x[0]))
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(12) % 2)
    data = load(parse_data({"kind": "npz", "path": str(tmp_path / "t.npz")}), reading=LITE0)
    of_python = load(from_arrays(x, np.arange(12) % 2), reading=LITE0)
    assert data.fingerprint == of_python.fingerprint
    for raw in (x, tmp_path / "t.npz", str(tmp_path / "t.npz"), (x, np.arange(12) % 2)):
        (rows, new), *_ = fresh(data.preparation, raw).parts()
        assert len(rows) == 12
        np.testing.assert_allclose(new[0], first / 127.5 - 1.0, atol=1e-6)


def test_what_has_no_pictures_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"^iris: its examples are rows of 4 numbers; the weights take grey or"
    ):
        load(parse_data("iris"), reading=LITE0)
    x = np.random.default_rng(0).normal(size=(20, 3, 8, 8))
    with pytest.raises(
        DataError, match=r"^arrays: its pixels are from -\d.*; give bytes \(uint8\), or numbers from 0"
    ):
        load(from_arrays(x, np.arange(20) % 2), reading=LITE0)
    four = np.zeros((20, 4, 8, 8), dtype=np.uint8)
    four[::2] = 9
    with pytest.raises(DataError, match=r"^arrays: its examples are arrays of shape \(4, 8, 8\)"):
        load(from_arrays(four, np.arange(20) % 2), reading=LITE0)
    folder = load(parse_data({**write(tmp_path, [noise(8, 8, n) for n in range(8)]).plain()}))
    with pytest.raises(DataError, match=r"its pictures have been read already, as 8 x 8 pixels; give"):
        load(folder, reading=LITE0)
    assert issubclass(StudyError, InputError)
