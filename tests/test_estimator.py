"""The estimator: all of scikit-learn's own checks, and each promise of its docstring."""

import dataclasses
import functools
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import estimator_checks_generator

import tinygrad_digits as td
from tinygrad_digits.digits import DigitsClassifier, DigitsRegressor, model
from tinygrad_digits.digits.data.augment import augment
from tinygrad_digits.digits.model.saliency import saliency
from tinygrad_digits.digits.training import network, optimizer_choice
from tinygrad_digits.digits.training.batches import Rows
from tinygrad_digits.digits.training.recipe import GENERAL, PLAIN, RATES, RECIPE

QUICK = {"hidden": (16,), "epochs": 15, "batch_size": 8, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    """Raw pixels 0-16: train and test."""
    pixels, labels = load_digits(return_X_y=True)
    return train_test_split(pixels, labels, test_size=0.2, random_state=0, stratify=labels)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(n_samples=120, centers=3, n_features=5, cluster_std=2.0, random_state=0)


@pytest.fixture(scope="module")
def fitted(digits):
    pixels, _, labels, _ = digits
    return DigitsClassifier(epochs=40, random_state=0).fit(pixels, labels)


def quick(**settings):
    return DigitsClassifier(**{**QUICK, **settings})


def assert_same_params(a, b):
    td.tree.map(np.testing.assert_array_equal, a.params_, b.params_)


def name_of(check):
    function = check.func if isinstance(check, functools.partial) else check
    options = check.keywords if isinstance(check, functools.partial) else {}
    return "-".join([function.__name__, *(f"{k}={v}" for k, v in options.items())])


def in_another_process(check):
    """Of an array API: it needs SCIPY_ARRAY_API before SciPy is imported."""
    return "check_array_api" in name_of(check)


CHECKS = [check for _, check in estimator_checks_generator(DigitsClassifier())]
REGRESSOR_CHECKS = [check for _, check in estimator_checks_generator(DigitsRegressor())]


@pytest.mark.parametrize("check", [c for c in CHECKS if not in_another_process(c)], ids=name_of)
@pytest.mark.filterwarnings("default")  # they provoke them
def test_scikit_learns_check(check):
    check(DigitsClassifier())


def of_regressors_or_in_the_gate(check):
    """The default run has been through the others with the classifier, which shares their code."""
    marks = () if "regress" in name_of(check) else pytest.mark.gate
    return pytest.param(check, marks=marks, id=name_of(check))


@pytest.mark.parametrize(
    "check",
    [of_regressors_or_in_the_gate(c) for c in REGRESSOR_CHECKS if not in_another_process(c)],
)
@pytest.mark.filterwarnings("default")
def test_scikit_learns_check_of_the_regressor(check):
    check(DigitsRegressor())


def test_scikit_learns_checks_of_array_apis():
    assert len(CHECKS) > 50
    assert any(map(in_another_process, CHECKS))
    program = """
from sklearn.utils.estimator_checks import estimator_checks_generator
from tinygrad_digits.digits import DigitsClassifier, DigitsRegressor
for estimator, check in estimator_checks_generator(DigitsClassifier()):
    if "check_array_api" in str(check):
        check(estimator)
        print("passed")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"passed"}


# --- quality


def test_digits_are_learned_from_pixels_of_any_scale(digits, fitted):
    pixels, others, labels, theirs = digits
    assert fitted.score(others, theirs) > 0.97
    unit = DigitsClassifier(epochs=40, random_state=0).fit(pixels / 16, labels)
    assert unit.score(others / 16, theirs) == pytest.approx(fitted.score(others, theirs), abs=0.01)


def test_plain_settings_are_those_of_the_program(digits):
    pixels, others, labels, theirs = digits
    plain = DigitsClassifier(**PLAIN.settings(), scaling="range", random_state=0)
    assert plain.fit(pixels, labels).score(others, theirs) > 0.95
    np.testing.assert_array_equal(plain._scale(pixels), pixels / 16)


def test_augmentation_teaches_to_read_what_is_moved(digits, rng):
    pixels, others, labels, theirs = digits
    moving, still = (
        DigitsClassifier(augment=moves, epochs=20, random_state=0).fit(pixels, labels)
        for moves in (True, False)
    )
    moved = augment(others, rng, shift=1.0, degrees=15.0)
    assert moving.score(moved, theirs) > still.score(moved, theirs) + 0.02


def test_augmentation_is_for_images(digits, blobs):
    pixels, _, labels, _ = digits
    with pytest.raises(ValueError, match="64 features, got 5"):
        quick(augment=True).fit(*blobs)
    with pytest.raises(ValueError, match="augment=True needs scaling"):
        quick(augment=True, scaling="standard").fit(pixels, labels)


def test_augmentation_may_be_a_function_of_ones_own(blobs):
    seen = []

    def jitter(x, rng):
        seen.append((x.min(), x.max()))
        return x + 0.01 * rng.standard_normal(x.shape)

    assert quick(augment=jitter, epochs=40).fit(*blobs).score(*blobs) > 0.8
    assert seen == [(0.0, 1.0)] * 40


@pytest.mark.parametrize("optimizer", optimizer_choice.OPTIMIZERS)
@pytest.mark.parametrize("schedule", optimizer_choice.SCHEDULES)
def test_every_optimizer_learns_by_every_schedule(optimizer, schedule, blobs):
    settings = {"optimizer": optimizer, "schedule": schedule, "backend": "numpy"}
    classifier = quick(**settings).fit(*blobs)
    assert classifier.loss_curve_[-1] < classifier.loss_curve_[0]
    eager = quick(**{**settings, "backend": None}).fit(*blobs)
    assert eager.loss_curve_ == classifier.loss_curve_


@pytest.mark.parametrize(
    "settings",
    [{"weight_decay": 1.0}, {"weight_decay": 0.0}, {"smoothing": 0.2}, {"ema": 0.9},
     {"warmup": 0.5}, {"rate": 0.1}, {"hidden": ()},
     {"batch_size": 7}, {"scaling": "range"}, {"scaling": None}],
    ids=str,
)  # fmt: skip
def test_every_setting_matters(settings, blobs):
    rows, labels = blobs
    ours, theirs = quick(**settings).fit(*blobs), quick().fit(*blobs)
    assert not np.array_equal(ours.predict_proba(rows), theirs.predict_proba(rows))
    assert ours.score(rows, labels) > 0.7


def test_the_average_is_what_is_used(blobs):
    averaged = quick(ema=0.99).fit(*blobs)
    assert averaged.params_ is averaged._progress.state.average
    assert not np.array_equal(averaged.params_["w0"], averaged._progress.params["w0"])


# --- what suits the data


def settled(rows, labels, **settings):
    """The recipe that a fit of one epoch went by."""
    classifier = DigitsClassifier(**{"max_iter": 1, **settings}, random_state=0)
    return classifier.fit(rows, labels).recipe_


@pytest.mark.parametrize("full", [16, 1], ids=["0-16", "0-1"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_images_are_learned_by_the_recipe(digits, full, dtype):
    pixels, _, labels, _ = digits
    if dtype is np.uint8 and full == 1:
        pixels, full = (pixels > 7) * 16, 16  # of black and white
    found = settled((pixels * (full / 16)).astype(dtype)[:300], labels[:300])
    assert found == dataclasses.replace(RECIPE, epochs=1, synthetic=0.0)


@pytest.mark.parametrize(
    "changed",
    [lambda x: x[:, np.random.default_rng(0).permutation(64)], lambda x: x + 0.5,
     lambda x: 2 * x, lambda x: x[:, :63], lambda x: -x],
    ids=["shuffled", "halves", "larger", "fewer", "negative"],
)  # fmt: skip
def test_what_is_no_image_is_learned_as_rows_of_any_kind(digits, changed):
    pixels, _, labels, _ = digits
    assert settled(changed(pixels), labels) == dataclasses.replace(GENERAL, epochs=1)


def test_what_is_set_holds_on_images_too(digits):
    pixels, _, labels, _ = digits
    rows, labels = pixels[:300], labels[:300]
    found = settled(rows, labels, hidden=(7,), warmup=0.0, augment=False, weight_decay=0.0)
    assert (found.hidden, found.warmup, found.augment, found.weight_decay) == ((7,), 0, False, 0)
    assert found.rate == RECIPE.rate
    assert settled(rows, labels, optimizer="gd").rate == RATES["gd"]
    assert not settled(rows, labels, scaling="standard").augment  # which would not suit it


def test_smoothed_labels_suit_images_alone(digits):
    pixels, _, labels, _ = digits
    assert settled(pixels[:300], labels[:300]).smoothing == RECIPE.smoothing > 0
    assert settled(pixels[:300], labels[:300], smoothing=0.0).smoothing == 0
    assert settled(2 * pixels, labels).smoothing == 0
    numbers = DigitsRegressor(max_iter=1, hidden=(4,)).fit(pixels[:300], labels[:300])
    assert numbers.recipe_.smoothing == 0
    with pytest.raises(ValueError, match="smoothing must be a number, got 'some'"):
        settled(pixels, labels, smoothing="some")


def test_a_stream_of_images_stays_one_of_images(digits):
    pixels, _, labels, _ = digits
    classifier = DigitsClassifier(random_state=0, hidden=(8,))
    classifier.partial_fit(pixels[:50], labels[:50], classes=np.arange(10))
    classifier.partial_fit(np.zeros((5, 64)), labels[:5])  # which alone would be none
    assert classifier.recipe_.augment


def test_the_defaults_do_as_well_as_a_support_vector_machine(digits):
    """On one split; the mean of ten is what the command compare is for."""
    pixels, others, labels, theirs = digits
    ours = DigitsClassifier(random_state=0).fit(pixels, labels).score(others, theirs)
    assert ours >= SVC(C=10).fit(pixels, labels).score(others, theirs) > 0.98


# --- other names


def test_scikit_learns_names_are_other_names_of_ours(blobs):
    theirs = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "max_iter": 3}
    renamed = DigitsClassifier(random_state=0, batch_size=8, **theirs).fit(*blobs)
    ours = quick(rate=0.02, epochs=3).fit(*blobs)
    assert_same_params(renamed, ours)
    assert renamed.n_iter_ == 3
    assert theirs.items() <= clone(renamed).get_params().items()
    assert_same_params(
        clone(quick()).set_params(**theirs, hidden="auto", epochs="auto").fit(*blobs), ours
    )
    assert DigitsClassifier(hidden_layer_sizes=5, max_iter=1).fit(*blobs).recipe_.hidden == (5,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": (8,), "hidden_layer_sizes": (9,)}, "hidden_layer_sizes is another name of"),
        ({"epochs": 3, "max_iter": 4}, "max_iter is another name of epochs"),
        ({"max_iter": 0}, "max_iter must be a whole number of 1 or more, got 0"),
        ({"learning_rate_init": -1.0}, "learning_rate_init must be positive"),
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes must be the sizes of layers"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"loss": "hinge"}, "loss must be a function of"),
        ({"class_weight": {0: -1.0}}, "class_weight must be positive"),
    ],
    ids=str,
)
def test_other_settings_that_make_no_sense_are_refused(settings, message, blobs):
    with pytest.raises(ValueError, match=message):
        DigitsClassifier(**settings).fit(*blobs)


def test_the_same_said_twice_is_no_contradiction(blobs):
    twice = DigitsClassifier(hidden=[4], hidden_layer_sizes=(4,), max_iter=1).fit(*blobs)
    assert twice.recipe_.hidden == (4,)


# --- weights of classes, dropout, a loss of one's own


def test_class_weights_are_sample_weights(blobs):
    rows, labels = blobs
    heavy = {0: 5.0, 1: 1.0, 2: 0.5}
    by_class = quick(class_weight=heavy).fit(rows, labels)
    by_row = quick().fit(rows, labels, sample_weight=[heavy[label] for label in labels])
    assert_same_params(by_class, by_row)
    both = quick(class_weight=heavy).fit(rows, labels, sample_weight=np.full(120, 2.0))
    np.testing.assert_allclose(both.loss_curve_, by_class.loss_curve_)


def test_balanced_classes_weigh_alike(rng):
    rows = np.concatenate([rng.normal(0, 1, (190, 2)), rng.normal(1.5, 1, (10, 2))])
    labels = np.repeat([0, 1], [190, 10])
    plain, fair = (quick(class_weight=kind).fit(rows, labels) for kind in (None, "balanced"))
    assert fair.score(rows[190:], labels[190:]) > plain.score(rows[190:], labels[190:])
    by_hand = quick(class_weight={0: 200 / (2 * 190), 1: 200 / (2 * 10)}).fit(rows, labels)
    assert_same_params(fair, by_hand)
    with pytest.raises(ValueError, match="partial_fit sees not all rows"):
        quick(class_weight="balanced").partial_fit(rows, labels, classes=[0, 1])


def test_dropout_leaves_out_units_in_training_alone(blobs):
    rows, labels = blobs
    dropped = quick(dropout=0.5, epochs=60, backend="numpy").fit(rows, labels)
    assert dropped.loss_curve_ != quick(epochs=60).fit(rows, labels).loss_curve_
    assert dropped.score(rows, labels) > 0.8
    np.testing.assert_array_equal(dropped.predict_proba(rows), dropped.predict_proba(rows))
    again = quick(dropout=0.5, epochs=60, backend="numpy").fit(rows, labels)
    assert_same_params(dropped, again)
    assert_same_params(dropped, quick(dropout=0.5, epochs=60, backend=None).fit(rows, labels))


def test_dropout_keeps_the_expectation(rng):
    masks = model.draw_masks((40, 30), 2000, 0.25, rng, np.float32)
    for mask, width in zip(masks, (40, 30), strict=True):
        assert (mask.shape, mask.dtype) == ((2000, width), np.float32)
        assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / 0.75)}
        assert mask.mean() == pytest.approx(1, abs=0.01)
    params, x = model.init_params((5, 40, 30, 3)), rng.standard_normal((7, 5))
    ones = [np.ones((7, width)) for width in (40, 30)]
    np.testing.assert_array_equal(model.logits(params, x, ones), model.logits(params, x))
    none = [np.zeros((7, width)) for width in (40, 30)]
    np.testing.assert_array_equal(model.logits(params, x, none), np.zeros((7, 3)))


def test_a_loss_of_ones_own_is_what_is_learned_by(blobs):
    seen = set()

    def cross_entropy(logits, labels):
        seen.add(labels.shape)
        return td.nn.cross_entropy(logits, labels)

    ours, theirs = quick(loss=cross_entropy, batch_size=50).fit(*blobs), quick(batch_size=50)
    np.testing.assert_allclose(ours.loss_curve_, theirs.fit(*blobs).loss_curve_)
    assert seen == {(50,), (20,)}  # no rows are added to the last

    def focal(logits, labels):
        of_truth = td.nn.log_softmax(logits)[np.arange(len(labels)), labels]
        return -np.mean((1 - np.exp(of_truth)) ** 2 * of_truth)

    focused = quick(loss=focal, dropout=0.1, epochs=60).fit(*blobs)
    assert focused.score(*blobs) > 0.8
    with pytest.raises(ValueError, match="a loss of your own takes none"):
        quick(loss=focal).fit(*blobs, sample_weight=blobs[1] + 1)


# --- what it takes


@pytest.mark.parametrize(
    ("given", "asked", "kept"),
    [("float64", None, "float64"), ("float32", None, "float32"), ("int64", None, "float64"),
     ("float64", "float32", "float32"), ("float32", np.float64, "float64")],
)  # fmt: skip
def test_dtypes(given, asked, kept, blobs):
    rows, labels = blobs[0].astype(given), blobs[1]
    classifier = quick(dtype=asked).fit(rows, labels)
    assert {array.dtype for array in classifier.params_.values()} == {np.dtype(kept)}
    assert classifier.predict_proba(rows).dtype == kept
    assert classifier.score(rows, labels) > 0.8


@pytest.mark.parametrize("names", [["no", "yes"], ["a", "b", "ccc"], [-5, 0, 1000], [False, True]])
def test_classes_of_any_kind(names, blobs):
    rows, labels = blobs[0], np.array(names)[blobs[1] % len(names)]
    classifier = quick().fit(rows, labels)
    assert classifier.classes_.tolist() == sorted(names)
    assert set(classifier.predict(rows).tolist()) <= set(names)
    assert classifier.predict_proba(rows).shape == (120, len(names))
    assert classifier.decision_function(rows).shape == ((120, 3) if len(names) > 2 else (120,))


def test_decisions_probabilities_and_labels_agree(blobs):
    rows, labels = blobs
    for wanted in (labels, labels == 1):
        classifier = quick().fit(rows, wanted)
        shares = classifier.predict_proba(rows)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        np.testing.assert_allclose(np.exp(classifier.predict_log_proba(rows)), shares)
        scores = classifier.decision_function(rows)
        winners = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        np.testing.assert_array_equal(classifier.classes_[winners], classifier.predict(rows))


def test_logarithms_stay_finite_where_probabilities_vanish(blobs):
    rows, labels = blobs
    classifier = quick(hidden=()).fit(rows, labels)
    classifier.params_ = {name: 1e4 * array for name, array in classifier.params_.items()}
    assert classifier.predict_proba(rows).min() == 0
    assert np.isfinite(classifier.predict_log_proba(rows)).all()


def test_a_single_class_is_always_the_answer():
    rows = np.random.default_rng(0).random((10, 3))
    classifier = quick().fit(rows, ["only"] * 10)
    assert set(classifier.predict(rows)) == {"only"}
    np.testing.assert_array_equal(classifier.predict_proba(rows), np.ones((10, 1)))


def test_a_single_row_and_constant_features():
    assert quick().fit([[1.0, 2.0]], [7]).predict([[0.0, 0.0]]) == [7]
    rows = np.column_stack([np.ones(40), np.arange(40)])
    assert quick(epochs=200).fit(rows, rows[:, 1] > 19).score(rows, rows[:, 1] > 19) > 0.9


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.coo_array])
def test_sparse_rows_are_refused(container, blobs):
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        quick().fit(container(blobs[0]), blobs[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(bad, blobs):
    rows = blobs[0].copy()
    rows[3, 2] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        quick().fit(rows, blobs[1])
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        quick().fit(*blobs).predict(rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of 1 or more, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number of 1 or more, got 2.5"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be"),
        ({"rate": 0}, "rate must be positive"),
        ({"weight_decay": -1}, "weight_decay must be 0 or more"),
        ({"tol": -1}, "tol must be 0 or more"),
        ({"ema": 1.0}, r"ema must be in \[0, 1\)"),
        ({"validation_fraction": 1.5}, r"validation_fraction must be in"),
        ({"hidden": 64}, r"hidden must be the sizes of layers, as \(64, 32\), got 64"),
        ({"hidden": (64, 0)}, "hidden must be"),
        ({"optimizer": "sgd"}, "optimizer must be one of gd, momentum"),
        ({"schedule": "linear"}, "schedule must be one of constant"),
        ({"scaling": "minmax"}, "scaling must be one of auto"),
        ({"backend": "cuda"}, "backend must be one of numpy"),
        ({"dtype": "float16"}, "dtype must be one of None, float32, float64"),
        ({"rate": "fast"}, "rate must be a number, got 'fast'"),
        ({"tol": None}, "tol must be a number, got None"),
        ({"early_stopping": "no"}, "early_stopping must be True or False, got 'no'"),
        ({"augment": 3}, "augment must be True or False, got 3"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_settings_that_make_no_sense_are_refused(settings, message, method, blobs):
    with pytest.raises(ValueError, match=message):
        getattr(quick(**settings), method)(*blobs)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_rate_too_high_says_so_and_leaves_what_was_learned(method, blobs):
    rows, labels = blobs
    classifier = quick(hidden=()).fit(rows, labels)
    before, loss = classifier.predict_proba(rows), [*classifier.loss_curve_]
    classifier.set_params(rate=1e200, optimizer="gd", schedule="constant", weight_decay=1e200)
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        getattr(classifier, method)(2 * rows + 1, labels)
    np.testing.assert_array_equal(classifier.predict_proba(rows), before)
    assert classifier.loss_curve_ == loss


def test_an_augmentation_that_loses_rows_is_refused(blobs):
    with pytest.raises(ValueError, match="augment must keep the shape"):
        quick(augment=lambda rows, _: rows[::2]).fit(*blobs)


def test_numpys_truths_are_truths(digits):
    pixels, _, labels, _ = digits
    settings = {"augment": np.True_, "early_stopping": np.False_, "warm_start": np.False_}
    moving = quick(epochs=1, **settings).fit(pixels[:200], labels[:200])
    plain = quick(epochs=1, augment=True).fit(pixels[:200], labels[:200])
    np.testing.assert_array_equal(moving.params_["w0"], plain.params_["w0"])


@pytest.mark.parametrize("on", ["fit", "partial_fit"])
def test_going_on_with_other_layers_is_refused(blobs, on):
    model = quick(hidden=(4,), warm_start=True).fit(*blobs).set_params(hidden=(8,))
    with pytest.raises(ValueError, match=r"hidden cannot become \(8,\): .* layers \(4,\)"):
        getattr(model, on)(*blobs)
    assert model.set_params(hidden=[4]).fit(*blobs).n_features_in_ == blobs[0].shape[1]


def test_a_first_fit_that_fails_or_is_interrupted_leaves_it_unfitted(blobs):
    def interrupted(_rows, _rng):
        raise KeyboardInterrupt

    classifier = quick(augment=interrupted)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*blobs)
    with pytest.raises(NotFittedError):
        classifier.predict(blobs[0])


def test_nothing_can_be_asked_before_it_is_fitted(blobs):
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(quick(), method)(blobs[0])


# --- the same again


def test_random_state_settles_everything(digits):
    pixels, _, labels, _ = digits
    settings = {"epochs": 3, "augment": True, "early_stopping": True}
    ours, theirs = (quick(**settings).fit(pixels, labels) for _ in range(2))
    assert_same_params(ours, theirs)
    assert ours.loss_curve_ == theirs.loss_curve_
    other = quick(**settings, random_state=1).fit(pixels, labels)
    assert not np.array_equal(ours.params_["w0"], other.params_["w0"])
    generator = np.random.RandomState(0)
    assert quick(random_state=generator).fit(pixels, labels).n_iter_ == 15


def test_global_randomness_is_left_alone_unless_asked_for(blobs):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    quick().fit(*blobs)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_what_is_given_is_not_changed(blobs):
    rows, labels = (array.copy() for array in blobs)
    quick().fit(rows, labels, sample_weight=(weights := np.ones(120)))
    np.testing.assert_array_equal(rows, blobs[0])
    np.testing.assert_array_equal(labels, blobs[1])
    np.testing.assert_array_equal(weights, 1)


@pytest.mark.parametrize("copied", [lambda c: pickle.loads(pickle.dumps(c)), "joblib"])
def test_a_fitted_one_survives_pickling_and_goes_on(copied, blobs, tmp_path):
    classifier = quick(ema=0.5).partial_fit(*blobs, classes=[0, 1, 2])
    if copied == "joblib":
        joblib.dump(classifier, tmp_path / "classifier")
        again = joblib.load(tmp_path / "classifier")
    else:
        again = copied(classifier)
    assert_same_params(classifier, again)
    assert_same_params(classifier.partial_fit(*blobs), again.partial_fit(*blobs))


# --- weights


@pytest.mark.parametrize("scaling", ["standard", "range"])
def test_weights_count_as_repetitions(scaling, rng):
    rows, labels = rng.standard_normal((20, 4)), rng.integers(0, 3, 20)
    times = rng.integers(0, 4, 20)
    weighted = quick(scaling=scaling, batch_size=64).fit(rows, labels, sample_weight=times)
    repeated = quick(scaling=scaling, batch_size=64).fit(
        rows.repeat(times, axis=0), labels.repeat(times)
    )
    np.testing.assert_allclose(
        weighted.decision_function(rows), repeated.decision_function(rows), rtol=1e-9, atol=1e-9
    )
    assert weighted.loss_curve_ == pytest.approx(repeated.loss_curve_)


def test_equal_weights_change_nothing_of_note(blobs):
    plain = quick().fit(*blobs)
    heavy = quick().fit(*blobs, sample_weight=np.full(120, 1000.0))
    np.testing.assert_allclose(
        plain.decision_function(blobs[0]), heavy.decision_function(blobs[0]), rtol=1e-6
    )


def test_a_heavier_class_is_seen_more_often(rng):
    rows, labels = rng.standard_normal((200, 2)), np.arange(200) % 2
    heavy = quick().fit(rows, labels, sample_weight=np.where(labels == 1, 20, 1))
    assert heavy.predict(rows).mean() > 0.95


@pytest.mark.parametrize(
    ("weights", "message"),
    [([0.0] * 120, "zero"), ([-1.0] * 120, "[Nn]egative"), ([1.0], "shape|dimension|inconsistent"),
     ([np.nan] * 120, "NaN")],
)  # fmt: skip
def test_weights_that_make_no_sense_are_refused(weights, message, blobs):
    with pytest.raises(ValueError, match=message):
        quick().fit(*blobs, sample_weight=weights)


# --- epochs, early stopping, going on


def test_the_loss_curve(blobs):
    classifier = quick().fit(*blobs)
    assert classifier.n_iter_ == len(classifier.loss_curve_) == 15
    assert classifier.best_loss_ == min(classifier.loss_curve_) < classifier.loss_curve_[0]
    assert classifier.validation_scores_ is classifier.best_validation_score_ is None


def test_the_loss_is_that_of_the_model(blobs):
    rows, labels = blobs
    classifier = quick(epochs=1, batch_size=120, scaling=None).fit(rows, labels)
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    before = model.init_params((5, 16, 3), np.random.default_rng(seed))
    assert classifier.loss_curve_ == [pytest.approx(float(model.loss(before, rows, labels)))]


def test_early_stopping_keeps_the_best(blobs):
    settings = {"early_stopping": True, "schedule": "constant", "tol": 0.0}
    classifier = quick(**settings, epochs=200, n_iter_no_change=4).fit(*blobs)
    scores = classifier.validation_scores_
    assert len(scores) == classifier.n_iter_ < 200
    assert classifier.best_validation_score_ == max(scores)
    assert np.argmax(scores) == len(scores) - 1 - 4
    assert_same_params(classifier, quick(**settings, epochs=len(scores) - 4).fit(*blobs))


def test_tol_is_what_counts_as_better(blobs):
    classifier = quick(early_stopping=True, epochs=200, n_iter_no_change=3, tol=1.0).fit(*blobs)
    assert classifier.n_iter_ == 1 + 3  # nothing is better than the first by 1
    assert classifier.best_validation_score_ == max(classifier.validation_scores_)


def test_early_stopping_sets_aside_a_stratified_share(blobs):
    rows, labels = blobs
    classifier = quick(early_stopping=True, validation_fraction=0.3)
    classifier._seed()
    trained, held = classifier._set_aside(Rows(rows, labels, np.ones(120)))
    assert np.bincount(held.y).tolist() == [12, 12, 12]
    assert len(trained.x) == 84
    with pytest.raises(ValueError, match="least populated class"):
        classifier.fit(rows, np.where(np.arange(120) == 0, 9, labels))


def test_verbose_prints_a_line_an_epoch(blobs, capsys):
    quick(verbose=True, epochs=2).fit(*blobs)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1: loss ")
    assert second.startswith("epoch 2: loss ")
    quick().fit(*blobs)
    assert not capsys.readouterr().out


def test_a_warm_start_goes_on(blobs):
    classifier = quick(warm_start=True).fit(*blobs)
    first = classifier.loss_curve_
    again = classifier.fit(*blobs).loss_curve_
    assert again[0] < first[0] / 2
    with pytest.raises(ValueError, match="not among the classes"):
        classifier.fit(blobs[0], blobs[1] + 1)
    cold = quick().fit(*blobs)
    assert cold.fit(*blobs).loss_curve_ == first


def test_partial_fits_learn_bit_by_bit(digits):
    pixels, others, labels, theirs = digits
    classifier = DigitsClassifier(random_state=0)
    for _ in range(8):
        for part in np.array_split(np.arange(len(pixels)), 20):
            classifier.partial_fit(pixels[part], labels[part], classes=np.arange(10))
    assert classifier.score(others, theirs) > 0.94
    assert classifier.n_iter_ == len(classifier.loss_curve_) == 160


def test_partial_fit_needs_all_classes_at_first_and_no_others_later(blobs):
    rows, labels = blobs
    with pytest.raises(ValueError, match="classes="):
        quick().partial_fit(rows, labels)
    some = labels < 2
    classifier = quick().partial_fit(rows[some], labels[some], classes=[2, 1, 0])
    assert classifier.predict_proba(rows).shape == (120, 3)
    with pytest.raises(ValueError, match="cannot become"):
        classifier.partial_fit(rows, labels, classes=[0, 1])
    before = classifier.params_
    with pytest.raises(ValueError, match=r"y holds \[3\]"):
        classifier.partial_fit(rows, labels + 1)
    assert classifier.params_ is before
    with pytest.raises(ValueError, match="features"):
        classifier.partial_fit(rows[:, :2], labels)


def test_partial_fit_goes_on_from_fit_and_changes_of_method(blobs):
    classifier = quick(ema=0.5).fit(*blobs)
    loss = classifier.loss_curve_[-1]
    for optimizer in ("adamw", "momentum", "gd"):
        classifier.set_params(optimizer=optimizer, ema=0.0).partial_fit(*blobs)
        assert classifier.loss_curve_[-1] < 2 * loss
    assert classifier.n_iter_ == 18


def test_partial_fit_takes_chunks_of_any_length_without_tracing_each(rng):
    network.reuse_step.cache_clear()
    classifier = quick(batch_size=64)
    for n in range(1, 61):
        labels = rng.integers(0, 2, n)
        classifier.partial_fit(rng.standard_normal((n, 3)), labels, classes=[0, 1])
    assert network.reuse_step.cache_info().misses == 7  # for 1, 2, 4 ... 64 rows


def test_fits_alike_share_one_program(blobs):
    network.reuse_step.cache_clear()
    for seed in range(3):
        quick(random_state=seed, epochs=2).fit(*blobs)
    assert network.reuse_step.cache_info().misses == 1


# --- in company


def test_a_pipeline_and_cross_validation(digits):
    pixels, _, labels, _ = digits
    pipeline = make_pipeline(FunctionTransformer(lambda x: x / 16), DigitsClassifier(epochs=15))
    scores = cross_val_score(pipeline, pixels[:600], labels[:600], cv=3)
    assert scores.min() > 0.8


def test_a_grid_search_in_two_processes():
    rows, labels = load_iris(return_X_y=True)
    grid = {"hidden": [(), (8,)], "rate": [1e-6, 0.02]}
    search = GridSearchCV(quick(), grid, cv=2, n_jobs=2).fit(rows, labels)
    assert search.best_params_["rate"] == 0.02
    assert search.best_score_ > 0.8
    alone = GridSearchCV(quick(), grid, cv=2).fit(rows, labels)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )


@pytest.mark.parametrize("prefer", ["processes", "threads"])
def test_fits_in_parallel_equal_fits_in_turn(prefer, blobs):
    def seeded(seed):
        return quick(random_state=seed)

    fits = joblib.Parallel(n_jobs=2, prefer=prefer)(
        joblib.delayed(seeded(seed).fit)(*blobs) for seed in range(4)
    )
    for seed, classifier in enumerate(fits):
        assert_same_params(classifier, seeded(seed).fit(*blobs))


def test_clones_have_the_settings_alone(blobs):
    settings = {"hidden": [8, 4], "augment": False, "rate": 0.02}
    classifier = clone(quick(**settings).fit(*blobs))
    assert settings.items() <= classifier.get_params().items()
    assert not hasattr(classifier, "params_")


def test_the_names_of_columns_are_kept_and_compared(blobs):
    frame = pd.DataFrame(blobs[0], columns=list("abcde"))
    classifier = quick().fit(frame, pd.Series(blobs[1]))
    assert classifier.feature_names_in_.tolist() == list("abcde")
    assert classifier.n_features_in_ == 5
    np.testing.assert_array_equal(classifier.predict(frame), quick().fit(*blobs).predict(blobs[0]))
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(frame[list("edcba")])


def test_the_estimator_is_imported_when_asked_for_and_names_its_extra():
    program = """
import sys
sys.modules["sklearn"] = None
import tinygrad_digits.digits.model, tinygrad_digits.digits as digits
assert "tinygrad_digits.digits.training.estimator" not in sys.modules
try:
    digits.DigitsClassifier
except Exception as error:
    print(type(error).__name__, error)
"""
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert printed.startswith("MissingExtraError this needs sklearn")
    assert "tinygrad-digits[digits]" in printed
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        __import__("tinygrad_digits.digits").digits.Nothing  # noqa: B018


# --- saliency


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saliency_is_the_slope_of_the_winning_logit(dtype, rng):
    params = model.init_params((64, 16, 10), rng, dtype)
    images = rng.random((5, 64)).astype(dtype)
    slopes = saliency(params, images)
    assert slopes.shape == (5, 64)
    assert slopes.dtype == dtype
    step, direction = (1e-2, 1e-6)[dtype == "float64"], rng.standard_normal(64)
    winners = model.predict(params, images)
    up, down = (
        model.logits(params, (images + sign * step * direction).astype(dtype))[range(5), winners]
        for sign in (1, -1)
    )
    np.testing.assert_allclose(
        slopes @ direction, (up - down) / (2 * step), rtol=0.2 if dtype == "float32" else 1e-5
    )


def test_saliency_refuses_other_shapes():
    params = model.init_params((64, 10))
    with pytest.raises(td.errors.ShapeError, match=r"\(n, 64\), got \(8, 8\)"):
        saliency(params, np.zeros((8, 8)))
    assert saliency(params, np.zeros((2, 64), int)).dtype == np.float64


# --- numbers


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(0)
    rows = rng.uniform(-2, 2, (400, 2))
    return rows, 1000 + 50 * np.sin(2 * rows[:, 0]) * rows[:, 1]


def regressor(**settings):
    return DigitsRegressor(
        **{"hidden": (32, 32), "batch_size": 16, "weight_decay": 0.0, "random_state": 0, **settings}
    )


def test_a_regressor_learns_numbers_of_any_scale(waves):
    rows, y = waves
    ours = regressor().fit(rows[:300], y[:300])
    assert ours.score(rows[300:], y[300:]) > 0.95
    small = regressor().fit(rows[:300], y[:300] * 1e-6)
    np.testing.assert_allclose(small.predict(rows), ours.predict(rows) * 1e-6, rtol=1e-6)


def test_several_numbers_a_row_are_learned_at_once(waves):
    rows, y = waves
    both = np.column_stack([y, -y / 7])
    ours = regressor().fit(rows, both)
    assert ours.predict(rows).shape == (400, 2)
    assert ours.score(rows, both) > 0.9
    assert regressor(epochs=1).fit(rows, y).predict(rows).shape == (400,)


def test_a_regressors_loss_is_the_squared_error(waves):
    rows, y = waves
    ours = regressor(epochs=1, batch_size=400, scaling=None).fit(rows, y)
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    before = model.init_params((2, 32, 32, 1), np.random.default_rng(seed))
    error = model.logits(before, rows)[:, 0] - (y - y.mean()) / y.std()
    assert ours.loss_curve_ == [pytest.approx(np.mean(error**2))]


def test_a_regressors_weights_count_as_repetitions(waves, rng):
    rows, y, times = waves[0][:30], waves[1][:30], rng.integers(0, 4, 30)
    weighted = regressor(batch_size=128, epochs=20).fit(rows, y, sample_weight=times)
    repeated = regressor(batch_size=128, epochs=20).fit(rows.repeat(times, axis=0), y.repeat(times))
    np.testing.assert_allclose(weighted.predict(rows), repeated.predict(rows), rtol=1e-6)


def test_a_regressor_stops_early_goes_on_and_takes_another_loss(waves):
    rows, y = waves
    stopped = regressor(early_stopping=True, n_iter_no_change=3, tol=1.0).fit(rows, y)
    assert stopped.n_iter_ == 1 + 3
    assert stopped.best_validation_score_ <= 1
    streamed = regressor()
    for _ in range(40):
        for part in np.array_split(np.arange(400), 4):
            streamed.partial_fit(rows[part], y[part])
    assert streamed.score(rows, y) > 0.8
    with pytest.raises(ValueError, match="y had 1 outputs, got 2"):
        streamed.partial_fit(rows, np.column_stack([y, y]))
    absolute = regressor(loss=lambda z, t: np.mean(np.abs(z - t)), dropout=0.01).fit(rows, y)
    assert absolute.score(rows, y) > 0.8


def test_synthetic_digits_join_images_of_digits_and_nothing_else():
    images, labels = load_digits(return_X_y=True)
    settings = {"epochs": 2, "hidden": (16,), "random_state": 0, "scaling": "range"}
    joined, alone = (
        DigitsClassifier(synthetic=share, **settings).fit(images[:300], labels[:300])
        for share in (1.0, 0.0)
    )
    assert joined.recipe_.synthetic == 1
    assert not np.array_equal(joined.params_["w0"], alone.params_["w0"])
    with pytest.raises(ValueError, match="8x8 images of the digits 0 to 9"):
        DigitsClassifier(synthetic=1.0, **settings).fit(images[:300], labels[:300] % 5)
    with pytest.raises(ValueError, match="synthetic must be 0 or more"):
        DigitsClassifier(synthetic=-1.0, **settings).fit(images[:300], labels[:300])
