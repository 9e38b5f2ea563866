"""Folders of images, drawn here."""

import io
import shutil
import struct
import zlib

import numpy as np
import pytest

from ravine.data import load, parse_data
from ravine.errors import DataError

Image = pytest.importorskip("PIL.Image")


def draw(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def pictures(count, shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def images(path, **options):
    return load(parse_data({"kind": "images", "path": str(path), **options}))


def test_class_folders(tmp_path):
    drawn = {label: pictures(10, (6, 5, 3), seed) for seed, label in enumerate(("cat", "dog"))}
    for label, group in drawn.items():
        for number, pixels in enumerate(group):
            draw(tmp_path / label / f"{number}.png", pixels)
    (tmp_path / "cat" / "notes.txt").write_text("none")
    (tmp_path / ".hidden").mkdir()
    data = images(tmp_path, normalize="none")
    assert data.classes == ("cat", "dog")
    assert data.input_shape == (3, 6, 5)
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 4)
    assert data.notes == ("1 file that is not an image was left out",)
    known = {pixels.tobytes(): label for label, group in drawn.items() for pixels in group}
    for split in (data.train, data.validation, data.test):
        for x, y in zip(split.x, split.y, strict=True):
            pixels = np.round(x.transpose(1, 2, 0) * 255).astype(np.uint8)
            assert known[pixels.tobytes()] == data.classes[y]


def test_given_splits_and_grey(tmp_path):
    for part, count in (("train", 8), ("val", 3), ("test", 4)):
        for label in "ab":
            for number, pixels in enumerate(pictures(count, (4, 4))):
                draw(tmp_path / part / label / f"{number}.png", pixels)
    data = images(tmp_path)
    assert data.input_shape == (1, 4, 4)
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 6, 8)


def test_size_covers_and_crops_the_centre(tmp_path):
    # A wide picture, black at both ends and white in the middle: only the middle is left.
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 6:18] = 255
    for label in "ab":
        for number in range(5):
            draw(tmp_path / label / f"{number}.png", wide if number % 2 else wide[:, 6:18])
    data = images(tmp_path, size=4, normalize="none")
    assert data.input_shape == (3, 4, 4)
    assert float(data.train.x.min()) > 0.99
    assert images(tmp_path, size=[4, 6]).input_shape == (3, 4, 6)


def test_kinds_of_pixels(tmp_path):
    grey = pictures(1, (4, 4))[0]
    for number in range(3):
        draw(tmp_path / "grey" / f"{number}.png", grey)
    (tmp_path / "other").mkdir()
    Image.fromarray(grey).convert("RGBA").save(tmp_path / "other" / "alpha.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "other" / "palette.png", transparency=b"\x00\x01")
    Image.fromarray(grey).convert("RGB").save(tmp_path / "other" / "plain.bmp")
    data = images(tmp_path, normalize="none")
    assert data.input_shape == (3, 4, 4)
    for split in (data.train, data.validation, data.test):
        assert np.allclose(split.x * 255, grey, atol=1e-4)


def test_turned_upright(tmp_path):
    tall = Image.fromarray(pictures(1, (6, 4, 3))[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(3):
            tall.save(tmp_path / label / f"{number}.png", exif=exif)
    assert images(tmp_path).input_shape == (3, 4, 6)


def two_classes(folder):
    for label in "ab":
        for number, pixels in enumerate(pictures(4, (4, 4, 3))):
            draw(folder / label / f"{number}.png", pixels)


def odd_size(folder):
    draw(folder / "b" / "odd.png", pictures(1, (5, 4, 3))[0])


def broken(folder):
    (folder / "b" / "x.jpg").write_bytes(b"not a jpeg")


def cut_short(folder):
    whole = io.BytesIO()
    Image.fromarray(pictures(1, (4, 4, 3))[0]).save(whole, "jpeg")
    (folder / "b" / "x.jpg").write_bytes(whole.getvalue()[:-20])


def empty_file(folder):
    (folder / "b" / "x.png").write_bytes(b"")


def too_large(folder):
    header = struct.pack(">II", 20_000, 10_000) + b"\x08\x02\0\0\0"
    (folder / "b" / "large.png").write_bytes(png((b"IHDR", header), (b"IDAT", zlib.compress(b"\0"))))


def several(folder):
    (folder / "a" / "0.png").write_bytes(b"no image")
    (folder / "a" / "1.png").write_bytes(b"")
    for name in ("a/2.png", "b/0.png", "b/1.png"):
        Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(folder / name)


def png(*chunks):
    """A PNG file of chunks, each a name and its content."""
    parts = [(len(content), name + content) for name, content in chunks]
    made = [struct.pack(">I", size) + part + struct.pack(">I", zlib.crc32(part)) for size, part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def empty_class(folder):
    (folder / "c").mkdir()


def deep_pixels(folder):
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(folder / "b" / "deep.png")


def beside_train(folder):
    for name in ("train", "tset"):
        two_classes(folder / name)
    for label in "ab":
        for file in (folder / label).iterdir():
            file.unlink()
        (folder / label).rmdir()


def one_class(folder):
    for file in (folder / "b").iterdir():
        file.unlink()
    (folder / "b").rmdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (empty_file, "{folder}/b/x.png: cannot be read as an image: it is empty"),
        (
            too_large,
            "{folder}/b/large.png: has more than 178,956,970 pixels, the most that Pillow reads; scale it down",
        ),
        (
            several,
            "5 images cannot be used: {folder}/a/0.png: cannot be read as an image: its content is that of no image; "
            "{folder}/a/1.png: cannot be read as an image: it is empty; {folder}/a/2.png: I;16 pixels (more than 8 "
            "bits) cannot be used; save it with 8 bits a channel; and 2 more",
        ),
        (
            odd_size,
            "{folder}/b/odd.png: 5 x 4 pixels, 0.png has 4 x 4; give size = to bring all to one",
        ),
        (
            broken,
            "{folder}/b/x.jpg: cannot be read as an image: its content is that of no image",
        ),
        (
            empty_class,
            "{folder}/c: there are no images in it "
            "(known: .bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp)",
        ),
        (
            deep_pixels,
            "{folder}/b/deep.png: I;16 pixels (more than 8 bits) cannot be used; "
            "save it with 8 bits a channel",
        ),
        (
            beside_train,
            "{folder}: 'train' names a split, 'tset' beside it does not; say layout = \"classes\" if both are classes, "
            "or give it the name of a split (train, validation, test)",
        ),
        (
            one_class,
            "{folder}: target 'folder' is 'a' in all 4 examples: with "
            "only one class there is nothing to learn",
        ),
    ],
)
def test_what_cannot_be_used(tmp_path, change, message):
    two_classes(tmp_path)
    change(tmp_path)
    with pytest.raises(DataError) as error:
        images(tmp_path)
    assert str(error.value) == message.format(folder=tmp_path)


def test_a_file_that_was_cut_short_is_named(tmp_path):
    two_classes(tmp_path)
    cut_short(tmp_path)
    with pytest.raises(DataError, match=r"/b/x.jpg: cannot be read as an image: image file is truncated"):
        images(tmp_path)


def test_every_file_that_cannot_be_used_is_named(tmp_path):
    two_classes(tmp_path)
    for number in range(30):
        (tmp_path / "a" / f"x{number:02}.png").write_bytes(b"none")
    with pytest.raises(DataError) as error:
        images(tmp_path)
    lines = [str(each) for each in error.value.each]
    assert lines[0] == f"{tmp_path}/a/x00.png: cannot be read as an image: its content is that of no image"
    assert len(lines) == 21
    assert lines[-1] == "and 10 more images that cannot be used"


def test_what_is_read_with_a_note(tmp_path):
    two_classes(tmp_path)
    three = [Image.fromarray(each) for each in pictures(3, (4, 4, 3))]
    three[0].save(tmp_path / "a" / "moves.gif", save_all=True, append_images=three[1:])
    for name, image in zip(("one", "two"), three[1:], strict=True):
        image.convert("CMYK").save(tmp_path / "b" / f"{name}.jpg")
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4096
    raw = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in deep)
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    whole = png((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    (tmp_path / "b" / "deep.png").write_bytes(whole)
    data = images(tmp_path, normalize="none")
    assert data.notes == (
        f"{tmp_path}/a/moves.gif has several pictures in it: the first was taken",
        f"2 images are in CMYK: their colours are approximate ({tmp_path}/b/one.jpg is the first)",
        f"{tmp_path}/b/deep.png has 16 bits a channel: the upper 8 were taken",
    )
    inputs = data.preparation.inputs
    read = inputs.apply([tmp_path / "b" / "deep.png", tmp_path / "a" / "moves.gif"]) * 255
    np.testing.assert_allclose(read[0], np.broadcast_to(deep >> 8, (3, 4, 4)), atol=1e-3)
    with Image.open(tmp_path / "a" / "moves.gif") as image:
        first = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_allclose(read[1], first, atol=1e-3)
    blank = load(parse_data({"kind": "images", "path": str(tmp_path)}), blank=True)
    assert blank.notes == data.notes


def test_classes_are_known_by_their_names(tmp_path):
    for label in ("2", "10", "1"):
        for number, pixels in enumerate(pictures(4, (4, 4, 3), int(label))):
            draw(tmp_path / label / f"{number}.png", pixels)
    (tmp_path / ".ipynb_checkpoints").mkdir()
    draw(tmp_path / "1" / ".ipynb_checkpoints" / "0-checkpoint.png", pictures(1, (9, 9, 3))[0])
    data = images(tmp_path)
    assert data.classes == ("1", "10", "2")  # as names are sorted
    assert data.preparation.target.names == ("1", "10", "2")
    assert len(data.train) + len(data.validation) + len(data.test) == 12


def test_a_class_that_a_split_lacks_is_named(tmp_path):
    for part, labels in (("train", "abc"), ("test", "ab")):
        for label in labels:
            for number, pixels in enumerate(pictures(4, (4, 4, 3))):
                draw(tmp_path / part / label / f"{number}.png", pixels)
    with pytest.raises(DataError, match=r": the test split has no example of class 'c'; it must have all"):
        images(tmp_path)
    (tmp_path / "test" / "c").mkdir()
    with pytest.raises(DataError, match=r"test/c: there are no images in it"):
        images(tmp_path)
    for number, pixels in enumerate(pictures(4, (4, 4, 3))):
        draw(tmp_path / "test" / "c" / f"{number}.png", pixels)
        draw(tmp_path / "val" / "c" / f"{number}.png", pixels)
    with pytest.raises(
        DataError, match=r": the validation split has no example of class 'a'; it must have all"
    ):
        images(tmp_path)
    (tmp_path / "val").rename(tmp_path / "test" / "d")
    shutil.move(tmp_path / "test" / "d" / "c", tmp_path / "test" / "e")
    (tmp_path / "test" / "d").rmdir()
    with pytest.raises(DataError, match=r": class 'e' has no training example, only held-out ones"):
        images(tmp_path)
