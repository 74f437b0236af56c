"""Images from files, and the pictures that a run leaves."""

import io

import numpy as np
import pytest
from PIL import Image

from tinygrad_digits.digits import data, images, plots

DIGIT = data.load_digits().images[0]  # a zero
GREY = np.round(DIGIT.reshape(8, 8) * 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(8, 8), (64,), (1, 8, 8), (1, 64)])
@pytest.mark.parametrize("scale", [1, 16])
def test_npy_in_either_scale_and_every_shape(tmp_path, shape, scale):
    array = DIGIT.reshape(shape) * scale
    np.save(tmp_path / "x.npy", array)
    np.testing.assert_array_equal(images.read_images(tmp_path / "x.npy"), [DIGIT])


def test_integers_count_sixteenths(tmp_path):
    np.save(tmp_path / "x.npy", (DIGIT * 16).astype(np.uint8))
    np.testing.assert_array_equal(images.read_images(tmp_path / "x.npy"), [DIGIT])


def test_many_images_in_one_file(tmp_path):
    many = data.load_digits().images[:5]
    np.save(tmp_path / "x.npy", many.reshape(5, 8, 8))
    np.testing.assert_array_equal(images.read_images(tmp_path / "x.npy"), many)


def _red(grey):
    return np.stack([np.full_like(grey, 255), 255 - grey, 255 - grey], axis=-1)


def _transparent(grey):
    return np.stack([np.zeros_like(grey)] * 3 + [grey], axis=-1)


KINDS = {
    "light on dark": Image.fromarray,
    "dark on light": lambda grey: Image.fromarray(255 - grey),
    "faint": lambda grey: Image.fromarray(100 + grey // 4),
    "16 bits": lambda grey: Image.fromarray(grey.astype(np.uint16) * 257),
    "red on white": lambda grey: Image.fromarray(_red(grey)),
    "black on transparent": lambda grey: Image.fromarray(_transparent(grey)),
    "palette": lambda grey: Image.fromarray(255 - grey).convert("P"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("enlarged", [1, 4])
def test_pictures_of_every_kind_and_size(tmp_path, kind, enlarged):
    grey = np.kron(GREY, np.ones((enlarged, enlarged), np.uint8))
    if enlarged > 1:  # with a margin, which is cropped
        grey = np.pad(grey, ((9, 17), (20, 3)))
    KINDS[kind](grey).save(tmp_path / "x.png")
    (read,) = images.read_images(tmp_path / "x.png")
    assert read.min() == 0
    assert read.max() == 1
    if enlarged == 1:
        np.testing.assert_allclose(read, DIGIT / DIGIT.max(), atol=0.02)
    else:
        assert np.corrcoef(read, DIGIT)[0, 1] > 0.95


def test_the_ink_is_centred_in_a_square(tmp_path):
    stroke = np.zeros((90, 50), np.uint8)
    stroke[5:69, 30:38] = 255  # 64 x 8, off the middle
    Image.fromarray(stroke).save(tmp_path / "one.png")
    (read,) = images.read_images(tmp_path / "one.png")
    expected = np.zeros((8, 8))
    expected[:, 3:5] = 1  # half of each of the middle columns
    np.testing.assert_array_equal(read.reshape(8, 8), expected)


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npy", b"", "not a whole .npy"),
        ("x.npy", _npy(DIGIT)[:-8], "not a whole .npy"),
        ("x.npy", _npy(np.array([{}])), "not a whole .npy"),
        ("x.npy", _npy(np.array(["a"] * 64)), "array of numbers"),
        ("x.npy", _npy(np.zeros((28, 28))), r"got \(28, 28\)"),
        ("x.npy", _npy(np.zeros(())), r"got \(\)"),
        ("x.npy", _npy(np.zeros((2, 2, 64))), r"got \(2, 2, 64\)"),
        ("x.npy", _npy(np.zeros((0, 64))), "one image or more"),
        ("x.npy", _npy(np.full(64, np.nan)), "NaN"),
        ("x.npy", _npy(np.full(64, 17)), r"0-16, got 17 \.\.\. 17"),
        ("x.npy", _npy(np.full(64, -1.0)), "got -1"),
        ("x.png", b"", "not a whole picture"),
        ("x.png", b"hello", "not a whole picture"),
        ("x.png", _png(np.kron(GREY, np.ones((40, 40), np.uint8)))[:-400], "not a whole picture"),
        ("x.png", _png(np.full((9, 9), 7, np.uint8)), "blank"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(images.ImageError, match=rf"{name}: .*{message}"):
        images.read_images(tmp_path / name)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(images.ImageError, match=r"gone\.png: no such file"):
        images.read_images(tmp_path / "gone.png")


def _history(epochs):
    row = {"train_loss": 1.0, "train_accuracy": 0.5}
    row |= {"validation_loss": 2.0, "validation_accuracy": 0.25}
    return [{"epoch": epoch, **row} for epoch in range(epochs)]


def _captions(figure):
    return [axes.get_title() or axes.get_title("left") for axes in figure.axes]


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_curves_show_train_and_validation(epochs):
    figure = plots.curves(_history(epochs))
    for axes in figure.axes:
        assert [line.get_label() for line in axes.get_lines()] == ["train", "validation"]
        assert all(len(line.get_xdata()) == epochs for line in axes.get_lines())
    assert plots.png(figure).startswith(b"\x89PNG")


def test_the_confusion_matrix_writes_each_count_in_its_cell():
    counts = np.diag(np.arange(10))
    counts[3, 8] = 7
    figure = plots.confusion(counts)
    (axes,) = figure.axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written.pop((8, 3)) == "7"  # x is what was said
    assert written == {(i, i): str(i) for i in range(1, 10)}
    assert _captions(figure) == ["45 of 52 test digits right"]
    assert plots.png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [0, 1, 9, 50])
def test_the_gallery_says_what_was_said_how_surely_and_the_truth(wrong):
    labels = np.zeros(60, int)
    probabilities = np.zeros((60, 10))
    probabilities[:, 0] = 1
    sure = np.linspace(0.6, 0.9, wrong)
    probabilities[:wrong, 4], probabilities[:wrong, 0] = sure, 1 - sure
    figure = plots.mistakes(np.zeros((60, 64)), labels, probabilities)
    captions = [caption for caption in _captions(figure) if caption]
    shown = sure[::-1][: plots.SHOWN]
    assert captions == [f"said 4 ({p:.1%})\ntruth 0" for p in shown]
    assert figure.get_suptitle().startswith(f"{wrong} of 60 test digits misread")
    assert plots.png(figure).startswith(b"\x89PNG")
