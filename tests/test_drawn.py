"""The drawn digits that reading is measured with: repeatable, and truly where they say."""

import numpy as np
import pytest

from tests import drawn


@pytest.mark.parametrize("kind", drawn.KINDS)
def test_the_truth_about_a_picture_is_the_truth(kind):
    one = drawn.draw("engineer", 4, kind)
    assert one.mask.shape == one.picture.size[::-1]
    left, top, right, bottom = one.box
    assert one.mask[top:bottom, left:right].sum() == one.mask.sum() > 0
    assert one.mask[[top, bottom - 1]].any(axis=1).all()
    assert one.mask[:, [left, right - 1]].any(axis=0).all()
    grey = np.asarray(one.picture.convert("RGBA"), float)
    grey = grey[..., 3] if kind == "transparent" else grey[..., :3].mean(axis=-1)
    assert abs(np.median(grey[one.mask]) - np.median(grey[~one.mask])) > 60


@pytest.mark.parametrize("kind", ["ruled", "noise"])
def test_a_seed_draws_one_picture(kind):
    once, again, other = (drawn.draw("hasty", 3, kind, seed).picture for seed in (5, 5, 6))
    np.testing.assert_array_equal(np.asarray(once), np.asarray(again))
    assert not np.array_equal(np.asarray(once), np.asarray(other))


def test_every_hand_writes_every_digit():
    labels = [one.label for one in drawn.draw_all("28x28", samples=1)]
    assert np.bincount(labels).tolist() == [len(drawn.HANDS)] * 10
