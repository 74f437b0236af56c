"""Temperatures, calibration errors, and what looks like no digit."""

import numpy as np
import pytest

from tinygrad_digits.digits import data
from tinygrad_digits.digits.data import strokes
from tinygrad_digits.digits.errors import RunError
from tinygrad_digits.digits.model import calibration, familiarity, mlp
from tinygrad_digits.digits.runs import familiar

pytestmark = pytest.mark.quick


def _sample(logits, rng):
    """Labels drawn as the logits say."""
    noise = rng.gumbel(size=logits.shape)
    return (logits + noise).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.6, 1, 3.5])
def test_the_temperature_that_was_hidden_is_found(temperature, rng):
    honest = 2 * rng.standard_normal((20_000, 10))
    found = calibration.fit_temperature(temperature * honest, _sample(honest, rng))
    assert found == pytest.approx(temperature, rel=0.04)


def test_the_temperature_has_the_least_loss(rng):
    logits = 4 * rng.standard_normal((500, 10))
    labels = _sample(logits / 2, rng)

    def loss(temperature):
        z = logits / temperature
        return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels])

    best = calibration.fit_temperature(logits, labels)
    assert loss(best) < min(loss(0.97 * best), loss(1.03 * best))


def test_where_all_are_right_or_none_it_stays_finite():
    logits = 9 * np.eye(10)
    assert calibration.fit_temperature(logits, np.arange(10)) == pytest.approx(calibration.COLDEST)
    hottest = calibration.fit_temperature(logits, np.roll(np.arange(10), 1))
    assert hottest == pytest.approx(calibration.HOTTEST)
    with pytest.raises(ValueError, match="not trained on"):
        calibration.fit_temperature(np.zeros((0, 10)), np.zeros(0, int))


def test_honest_probabilities_have_hardly_any_calibration_error(rng):
    honest = 2 * rng.standard_normal((20_000, 10))
    labels = _sample(honest, rng)
    errors = [calibration.measure_calibration_error(_softmax(by * honest), labels) for by in (1, 3)]
    assert errors[0] < 0.015
    assert errors[1] > 0.1


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.4, 0.6], [0.35, 0.65]])
    labels = np.array([0, 1, 1, 1])
    # bins of tenths: 0.9-1.0 has |0.5 - 0.95|, 0.5-0.6 has |1 - 0.6|, 0.6-0.7 has |1 - 0.65|
    by_hand = (2 * 0.45 + 0.4 + 0.35) / 4
    found = calibration.measure_calibration_error(probabilities, labels, bins=10)
    assert found == pytest.approx(by_hand)


DIGITS = data.load_digits()


def test_digits_are_familiar_and_noise_is_not(rng):
    known, held_out, fresh = np.split(DIGITS.images[rng.permutation(1797)], [1100, 1450])

    def find_strange(images):
        return familiarity.find_strange(learnt, images, np.zeros((len(images), 10)))

    learnt = familiarity.fit_familiar(known, held_out, np.zeros((len(held_out), 10)))
    assert find_strange(held_out).mean() <= familiarity.FALSE_ALARMS
    assert find_strange(fresh).mean() < 0.04
    noise = rng.random((200, 64)), rng.integers(0, 2, (200, 64)).astype(float)
    nothing = np.zeros((1, 64)), np.ones((1, 64))
    assert find_strange(np.concatenate([*noise, *nothing])).all()
    assert not find_strange(known).any()


def test_the_energy_has_a_say(rng):
    known, others = rng.random((40, 64)) / 8, rng.random((40, 64)) / 8
    logits = rng.standard_normal((40, 10))
    learnt = familiarity.fit_familiar(known, others, logits, false_alarms=0.5)
    by_hand = -np.log(np.exp(logits).sum(axis=1))
    np.testing.assert_allclose(familiarity.measure_energy(logits), by_hand)
    distances = familiarity.measure_distances(learnt.images, others)
    assert learnt.weight == pytest.approx(distances.std() / by_hand.std())
    calls = [familiarity.find_strange(learnt, others, logits + more).sum() for more in (-9, 0, 9)]
    assert calls[0] == 40
    assert 18 <= calls[1] <= 20
    assert calls[2] == 0


def test_the_distance_is_to_the_nearest(rng):
    images = rng.integers(0, 17, (30, 64)).astype(np.uint8)
    x = rng.random((7, 64))
    by_hand = [min(np.linalg.norm(one - known / 16) for known in images) for one in x]
    np.testing.assert_allclose(familiarity.measure_distances(images / 16, x), by_hand)


def test_distances_are_the_same_one_by_one_and_all_at_once(rng):
    known = (rng.integers(0, 17, (900, 64)) / 16).astype(np.float32)
    x = rng.integers(0, 17, (2 * familiarity.ROWS + 3, 64)) / 16
    together = familiarity.measure_distances(known, x)
    alone = [familiarity.measure_distances(known, one[np.newaxis])[0] for one in x]
    np.testing.assert_array_equal(together, alone)  # exact: a limit is the same on any machine


def test_synthetic_digits_are_known_to_who_has_learnt_from_them():
    strange = [
        familiarity.find_strange(
            _manner(synthetic=by).familiar, fresh, mlp.logits(mlp.init_params(), fresh)
        ).mean()
        for fresh in [strokes.synthesise(500, np.random.default_rng(77)).images]
        for by in (False, True)
    ]
    assert strange[0] > 0.05
    assert strange[1] < 0.03


@pytest.mark.parametrize("many", [10, 1500, 9000])
def test_the_known_are_of_both_kinds_and_not_too_many(many):
    images = np.zeros((many, 64), np.float32)
    train = data.Dataset(images, np.zeros(many, int))
    split = data.Split(train, data.Dataset(images[:10], np.zeros(10, int)), train)
    known = familiar.fit_manner(mlp.init_params(), split, synthetic=True).familiar.images
    assert len(known) <= familiarity.MOST_KNOWN
    drawn = known.any(axis=1).sum()
    assert drawn >= familiarity.MOST_KNOWN // 2
    assert 0 < len(known) - drawn <= many


def test_tempered_probabilities_are_those_of_colder_logits(rng):
    logits = 30 * rng.standard_normal((50, 10)).astype(np.float32)
    tempered = calibration.temper(_softmax(logits), 2.0)
    np.testing.assert_allclose(tempered, _softmax(logits / 2), atol=1e-6)


def test_trust_is_measured_on_what_is_said(rng):
    logits = 2 * rng.standard_normal((5000, 10))
    labels = _sample(logits, rng)
    images = np.zeros((5000, 64))
    images[:1250] = 1
    manner = _manner()._replace(temperature=3.0)
    dataset = data.Dataset(images, labels)
    found = familiar.measure_trust(mlp.init_params(), manner, _softmax(3 * logits), dataset)
    assert found.calibration_error > 0.1
    assert found.calibrated_error < 0.03
    assert found.false_alarms == 1  # neither black nor white is a digit


def _manner(synthetic=False):
    split = data.split(DIGITS, seed=0)
    return familiar.fit_manner(mlp.init_params(), split, synthetic=synthetic)


def test_what_a_run_keeps_is_read_back(tmp_path):
    manner = _manner()
    familiar.save_manner(tmp_path, manner)
    found = familiar.load_manner(tmp_path)
    np.testing.assert_array_equal(found.familiar.images, manner.familiar.images)
    assert found.familiar.limit == manner.familiar.limit
    assert found.familiar.weight == manner.familiar.weight > 0
    assert found.temperature == manner.temperature


def test_a_run_without_it_is_read_all_the_same(tmp_path):
    assert familiar.load_manner(tmp_path) is None


def test_an_altered_file_is_refused(tmp_path):
    familiar.save_manner(tmp_path, _manner())
    path = tmp_path / familiar.FAMILIAR
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(RunError, match=r"familiar\.safetensors"):
        familiar.load_manner(tmp_path)
