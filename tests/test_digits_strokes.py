"""Synthetic digits: what the classifier learns besides the data set's."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from sklearn.svm import SVC

from tests import drawn
from tinygrad_digits.digits.data import strokes
from tinygrad_digits.digits.data.dataset import Dataset, load_digits, validate
from tinygrad_digits.digits.data.ways import HEIGHT, WAYS
from tinygrad_digits.digits.images import normalise as pictures


@pytest.fixture(scope="module")
def synthetic():
    return strokes.synthesise(2000, np.random.default_rng(1))


def test_they_are_images_like_the_data_sets(synthetic):
    validate(*synthetic)
    counts = synthetic.images * 16
    np.testing.assert_array_equal(counts, np.round(counts))
    assert np.bincount(synthetic.labels).tolist() == [200] * 10
    ours, theirs = (images.mean(axis=0) for images in (synthetic.images, load_digits().images))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.05)


def test_a_generator_draws_the_same_digits_again(synthetic):
    again = strokes.synthesise(2000, np.random.default_rng(1))
    np.testing.assert_array_equal(again.images, synthetic.images)
    np.testing.assert_array_equal(again.labels, synthetic.labels)
    other = strokes.synthesise(2000, np.random.default_rng(2))
    assert not np.array_equal(other.images, synthetic.images)
    assert len(np.unique(synthetic.images, axis=0)) > 1990  # bars are alike


def test_most_are_legible_to_what_has_seen_only_the_data_set(synthetic):
    """78 % here; what is not is what the data set does not hold, which is why they are drawn."""
    digits = load_digits()
    reads = SVC(C=10).fit(*digits).predict(synthetic.images) == synthetic.labels
    assert reads.mean() > 0.72
    for digit in range(10):
        assert reads[synthetic.labels == digit].mean() > 0.5, digit


def test_they_teach_to_read_other_hands(synthetic):
    """Who has seen them besides reads digits of tests/drawn.py better than who has not."""
    digits = load_digits()
    hands = [*drawn.draw_all("black on white", samples=1)]
    images = [pictures.normalise(one.mask).counts.ravel() for one in hands]
    labels = [one.label for one in hands]
    both = Dataset(*map(np.concatenate, zip(digits, synthetic, strict=True)))
    without, with_them = (SVC(C=10).fit(*seen).score(images, labels) for seen in (digits, both))
    assert with_them > 0.96
    assert with_them > without


def _picture_of(points, radius, side=400):
    """Pillow's drawing of a path, as large as fits: (side, side) bools."""
    low, high = points.min(axis=0), points.max(axis=0)
    by = 0.8 * side / (high - low).max()
    picture = Image.new("1", (side, side))
    pen, r = ImageDraw.Draw(picture), radius * by
    for x, y in (points - (low + high) / 2) * by + side / 2:
        pen.ellipse((x - r, y - r, x + r, y + r), fill=1)
    return np.asarray(picture)


def test_a_picture_of_the_same_strokes_is_read_as_the_same_image(rng):
    labels = np.repeat(np.arange(10), 5)
    points = strokes.distort(strokes.trace(labels, rng), rng)
    read = [pictures.normalise(_picture_of(p, np.ptp(p, axis=0).max() * 0.06)) for p in points]
    ink = np.array([one.bitmap.sum() for one in read])
    images = pictures.count_blocks(strokes.draw(strokes.straighten(points), ink))
    apart = np.abs(images - [one.counts for one in read]).mean(axis=(1, 2))
    assert np.median(apart) < 0.05
    assert np.mean(apart < 0.1) > 0.9


def test_bitmaps_have_the_ink_that_they_were_to_have(rng):
    points = strokes.straighten(strokes.distort(strokes.trace(np.arange(200) % 10, rng), rng))
    ink = rng.uniform(260, 400, 200)
    bitmaps = strokes.draw(points, ink)
    assert (bitmaps.shape, bitmaps.dtype) == ((200, 32, 32), bool)
    apart = np.abs(bitmaps.sum(axis=(1, 2)) / ink - 1)
    assert np.median(apart) < 0.03
    assert np.mean(apart < 0.1) > 0.95


@pytest.mark.parametrize("digit", WAYS)
def test_every_way_is_strokes_on_the_sheet_that_a_spline_can_follow(digit, rng):
    assert len(WAYS[digit]) >= 4
    for way in WAYS[digit].values():
        spline = strokes.find_spline(way)
        corners = np.concatenate(strokes.find_corners(way))
        np.testing.assert_allclose(spline.sum(axis=1), 1)
        points = spline @ corners
        assert np.abs(points * HEIGHT - [10, 15]).max() < 22
        assert np.ptp(points[:, 1]) > 0.8
        moved = strokes.move_corners(way, 3, rng)
        assert moved.shape == (3, *corners.shape)
        twice = np.flatnonzero((corners[1:] == corners[:-1]).all(axis=1))
        np.testing.assert_array_equal(moved[:, twice], moved[:, twice + 1])


def test_distorting_changes_no_argument(rng):
    points = strokes.trace(np.arange(10), rng)
    before = points.copy()
    bent = strokes.distort(points, rng)
    np.testing.assert_array_equal(points, before)
    assert bent.shape == points.shape
    assert not np.shares_memory(bent, points)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_joined_digits_follow_the_data_and_change_nothing(dtype):
    digits = load_digits(dtype)
    before = digits.images.copy()
    joined, again = (
        strokes.add_synthetic(digits, np.random.default_rng(3), share=0.5) for _ in range(2)
    )
    n = len(digits.labels)
    assert joined.images.dtype == dtype
    assert len(joined.labels) == n + round(n / 2)
    np.testing.assert_array_equal(joined.images[:n], before)
    np.testing.assert_array_equal(joined.images, again.images)
    np.testing.assert_array_equal(digits.images, before)
    validate(*joined)
