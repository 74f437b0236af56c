"""The data: what is loaded, how it is split and dealt out, and what is refused."""

import numpy as np
import pytest
from sklearn.datasets import load_digits as from_sklearn
from sklearn.model_selection import train_test_split

import tinygrad_digits as td
from tinygrad_digits.digits.data import dataset as data

GOOD = np.full((3, 64), 0.5)
LABELS = np.array([0, 5, 9])


def test_the_digits_are_scikit_learns_sixteenths():
    images, labels = data.load_digits()
    pixels, truth = from_sklearn(return_X_y=True)
    np.testing.assert_array_equal(images * 16, pixels)
    np.testing.assert_array_equal(labels, truth)
    assert images.min() == 0
    assert images.max() == 1
    data.validate(images, labels)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_dtype_holds_the_pixels_exactly(dtype):
    images, _ = data.load_digits(dtype)
    assert images.dtype == dtype
    np.testing.assert_array_equal(images, data.load_digits().images)


def _rows(dataset):
    return {image.tobytes() for image in dataset.images}


@pytest.mark.parametrize("stratify", [True, False])
def test_a_split_deals_out_every_image_once(stratify):
    digits = data.load_digits()
    parts = data.split(digits, 3, stratify=stratify)
    assert sum(len(part.labels) for part in parts) == len(digits.labels)
    sets = [_rows(part) for part in parts]
    assert set.union(*sets) == _rows(digits)
    assert sum(map(len, sets)) == len(_rows(digits))
    again = data.split(digits, 3, stratify=stratify)
    td.tree.map(np.testing.assert_array_equal, parts, again)
    other = data.split(digits, 4, stratify=stratify)
    assert _rows(other.test) != _rows(parts.test)


def test_a_stratified_split_gives_each_part_its_share_of_each_class():
    digits = data.load_digits()
    whole = np.bincount(digits.labels) / len(digits.labels)
    for part in data.split(digits, 0):
        counts = np.bincount(part.labels, minlength=10)
        assert np.abs(counts - whole * len(part.labels)).max() <= 1


@pytest.mark.parametrize("seed", [42, 7])
def test_without_stratifying_the_test_set_is_the_plain_one(seed):
    images, labels = from_sklearn(return_X_y=True)
    _, expected, _, truth = train_test_split(images, labels, test_size=0.2, random_state=seed)
    test = data.split(data.load_digits(), seed, stratify=False).test
    np.testing.assert_array_equal(test.images * 16, expected)
    np.testing.assert_array_equal(test.labels, truth)


def test_minibatches_hold_every_image_once_with_its_label_in_a_drawn_order():
    dataset = data.Dataset(np.arange(10.0)[:, None], np.arange(10))
    batches = list(data.minibatches(dataset, 4, np.random.default_rng(0)))
    assert [len(batch.labels) for batch in batches] == [4, 4, 2]
    for batch in batches:
        np.testing.assert_array_equal(batch.images[:, 0], batch.labels)
        assert not np.shares_memory(batch.images, dataset.images)
    order = np.concatenate([batch.labels for batch in batches])
    assert sorted(order) == list(range(10))
    assert list(order) != list(range(10))
    same = data.minibatches(dataset, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in same]), order)


def test_minibatches_of_no_images_are_refused():
    with pytest.raises(ValueError, match="size=0"):
        next(data.minibatches(data.Dataset(GOOD, LABELS), 0, np.random.default_rng(0)))


def _with(value, at=(1, 7)):
    images = GOOD.copy()
    images[at] = value
    return images


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (np.zeros((3, 8, 8)), LABELS, td.errors.ShapeError, r"\(3, 8, 8\).*reshape\(n, 64\)"),
        (np.zeros(64), LABELS, td.errors.ShapeError, r"\(64,\)"),
        (np.zeros((3, 63)), LABELS, td.errors.ShapeError, r"\(n, 64\), got \(3, 63\)$"),
        (np.zeros((0, 64)), LABELS[:0], td.errors.ShapeError, "no images"),
        (GOOD.astype(int), LABELS, ValueError, "floating point, got int64.*16"),
        (_with(16.0), LABELS, ValueError, r"0\.5 \.\.\. 16: for pixels 0-16 divide by 16"),
        (_with(255.0), LABELS, ValueError, "for pixels 0-255 divide by 255"),
        (_with(300.0), LABELS, ValueError, r"0\.5 \.\.\. 300$"),
        (_with(-0.1), LABELS, ValueError, r"-0\.1 \.\.\. 0\.5$"),
        (_with(np.nan), LABELS, ValueError, r"images\[1\].*NaN"),
        (_with(np.inf), LABELS, ValueError, r"images\[1\].*infinite"),
        (GOOD, np.eye(10)[LABELS], td.errors.ShapeError, r"argmax\(axis=1\)"),
        (GOOD, LABELS[:2], td.errors.ShapeError, "3 images need as many labels, got 2"),
        (GOOD, LABELS.astype(float), ValueError, r"float64.*astype\(int\)"),
        (GOOD, LABELS > 3, ValueError, "integers, got bool"),
        (GOOD, np.array([0, 10, 1]), ValueError, r"labels\[1\] is 10.*0 to 9"),
        (GOOD, np.array([0, 1, -1]), ValueError, r"labels\[2\] is -1"),
    ],
)
def test_what_is_no_dataset_is_refused_with_a_remedy(images, labels, error, message):
    with pytest.raises(error, match=message):
        data.validate(images, labels)
    with pytest.raises(error, match=message):
        data.split(data.Dataset(images, labels), 0)


def test_what_is_one_comes_back_as_plain_arrays():
    images, labels = data.validate(GOOD.tolist(), LABELS.tolist())
    np.testing.assert_array_equal(images, GOOD)
    np.testing.assert_array_equal(labels, LABELS)
    assert data.validate(GOOD, LABELS).images is GOOD


def test_other_sizes_can_be_validated():
    data.validate(np.zeros((2, 5)), np.array([0, 2]), pixels=5, classes=3)
    with pytest.raises(ValueError, match="0 to 1"):
        data.validate(np.zeros((2, 5)), np.array([0, 2]), pixels=5, classes=2)
