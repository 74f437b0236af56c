"""Model and training: shapes, descent, purity, jit, what is refused; and the headline."""

import dataclasses

import numpy as np
import pytest

import tinygrad_digits as td
from tinygrad_digits.digits import data, model
from tinygrad_digits.digits.data.augment import augment
from tinygrad_digits.digits.model import evaluation
from tinygrad_digits.digits.runs import material, run
from tinygrad_digits.digits.training import loop, optimizer_choice, recipe

SMALL = data.Dataset(np.eye(64), np.arange(64) % 10)


def start(epochs=3, optimizer=None, dataset=SMALL, **options):
    params = options.pop("params", None) or model.init_params((64, 16, 10))
    return loop.train(
        params,
        optimizer or td.optim.gradient_descent(0.5),
        dataset,
        dataset,
        **{"epochs": epochs, "batch_size": 10, "rng": np.random.default_rng(1), **options},
    )


def same_bits(ours, theirs):
    """Whether two trees hold the same; -0 is not 0."""
    ours, theirs = dict(td.tree.items(ours)), dict(td.tree.items(theirs))
    arrays = [path for path, leaf in ours.items() if isinstance(leaf, np.ndarray | np.generic)]
    return (
        ours.keys() == theirs.keys()
        and all(ours[path].tobytes() == theirs[path].tobytes() for path in arrays)
        and all(ours[path] == theirs[path] for path in ours.keys() - {*arrays})
    )


@pytest.mark.parametrize("sizes", [(64, 10), (64, 7, 10), (5, 4, 3, 2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_of_any_depth(sizes, dtype):
    params = model.init_params(sizes, np.random.default_rng(0), dtype)
    assert model.layer_sizes(params) == sizes
    assert {array.dtype for array in params.values()} == {np.dtype(dtype)}
    x = np.ones((3, sizes[0]), dtype)
    probabilities = model.probabilities(params, x)
    assert model.logits(params, x).shape == probabilities.shape == (3, sizes[-1])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(params, x), probabilities.argmax(axis=1))
    assert model.loss(params, x, np.zeros(3, int)).dtype == dtype


def test_weights_have_hes_variance_and_come_from_the_generator():
    params = model.init_params((400, 500), np.random.default_rng(0))
    assert params["w0"].var() == pytest.approx(2 / 400, rel=0.02)
    again = model.init_params((400, 500), np.random.default_rng(0))
    td.tree.map(np.testing.assert_array_equal, params, again)
    other = model.init_params((400, 500), np.random.default_rng(1))
    assert not np.array_equal(params["w0"], other["w0"])


@pytest.mark.parametrize("sizes", [(64,), (64, 0, 10), ()])
def test_sizes_that_make_no_network_are_refused(sizes):
    with pytest.raises(td.errors.ShapeError, match="sizes"):
        model.init_params(sizes)


@pytest.mark.parametrize("make", [td.optim.gradient_descent, td.optim.momentum])
def test_training_descends_and_yields_a_record_for_each_epoch(make):
    records = list(start(20, make(1.0 if make is td.optim.gradient_descent else 0.1)))
    assert [record.epoch for record in records] == list(range(21))
    assert records[-1].train_loss < records[0].train_loss / 2
    last = records[-1]
    assert last.validation_loss == pytest.approx(float(model.loss(last.params, *SMALL)))
    assert last.validation_accuracy == model.accuracy(last.params, *SMALL)
    assert set(last.scores()) == set(loop.Epoch._fields) - {"params", "snapshot"}


def test_training_is_the_fold_of_its_step():
    step = loop.make_step(optimizer := td.optim.momentum(0.1))
    params = model.init_params((64, 16, 10))
    state, rng = optimizer.init(params), np.random.default_rng(1)
    *_, last = start(2, optimizer, params=params)
    for _ in range(2):
        for batch in data.minibatches(SMALL, 10, rng):
            params, state, _ = step(params, state, *batch)
    td.tree.map(np.testing.assert_array_equal, last.params, params)


def test_nothing_is_changed_or_shared():
    params = model.init_params((64, 16, 10))
    before = td.tree.map(np.copy, (params, SMALL))
    records = list(start(3, td.optim.momentum(0.5), params=params))
    td.tree.map(np.testing.assert_array_equal, (params, SMALL), before)
    kept = [params, *(record.params for record in records)]
    for i, ours in enumerate(kept):
        for theirs in kept[:i]:
            assert not any(np.shares_memory(ours[name], theirs[name]) for name in ours)


def test_writing_into_a_record_does_not_disturb_training():
    expected = [record.train_loss for record in start()]
    losses = []
    for record in start():
        losses.append(record.train_loss)
        for array in record.params.values():
            array[...] = np.nan
    assert losses == expected


@pytest.mark.parametrize("make", [td.optim.gradient_descent, td.optim.momentum])
def test_training_keeps_the_parameters_dtype(make):
    params = model.init_params((64, 16, 10), dtype=np.float32)
    *_, last = start(1, make(0.1), params=params)
    assert {array.dtype for array in last.params.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", optimizer_choice.OPTIMIZERS)
def test_a_jitted_run_equals_the_eager_one_to_the_last_bit(optimizer, dtype):
    config = recipe.Config(epochs=4, rate=recipe.RATES[optimizer], optimizer=optimizer, dtype=dtype)
    assert config.backend == "numpy"
    digits = material.load_split(config)
    jitted = list(run.start(config, digits))
    eager = list(run.start(dataclasses.replace(config, backend=None), digits))
    assert [record.scores() for record in jitted] == [record.scores() for record in eager]
    for ours, theirs in zip(jitted, eager, strict=True):
        for name, array in theirs.params.items():
            assert ours.params[name].dtype == array.dtype
            assert ours.params[name].tobytes() == array.tobytes()  # which tells -0 from 0


@pytest.mark.parametrize("schedule", optimizer_choice.SCHEDULES)
def test_the_recipes_run_is_the_same_compiled_and_eager(schedule):
    config = recipe.configure(
        {"epochs": 3, "hidden": (9, 8), "schedule": schedule, "ema": 0.9, "smoothing": 0.1,
         "backend": "numpy"}
    )  # fmt: skip
    digits = material.load_split(config)
    *_, jitted = run.start(config, digits)
    *_, eager = run.start(dataclasses.replace(config, backend=None), digits)
    assert jitted.scores() == eager.scores()
    assert same_bits(jitted.snapshot, eager.snapshot)
    assert jitted.params["w0"].dtype == np.float32


def test_an_average_is_measured_in_place_of_the_parameters():
    optimizer = td.optim.ema(td.optim.gradient_descent(0.5), decay=0.9)
    *_, last = start(2, optimizer, average=optimizer_choice.read_average)
    td.tree.map(np.testing.assert_array_equal, last.params, last.snapshot.state.average)
    assert not np.array_equal(last.params["w0"], last.snapshot.params["w0"])
    assert last.train_loss == float(model.loss(last.params, *SMALL))


def test_each_epoch_augments_afresh_and_changes_no_image():
    before, seen = SMALL.images.copy(), []

    def watched(images, rng):
        np.testing.assert_array_equal(images, before)
        seen.append(augment(images, rng))
        return seen[-1]

    list(start(2, augment=watched))
    assert len(seen) == 2
    assert not np.array_equal(*seen)
    np.testing.assert_array_equal(SMALL.images, before)


def test_each_epoch_learns_what_joins_it_and_measures_the_data_alone():
    seen = []

    def join(_dataset, rng):
        seen.append(rng.integers(9, size=4))
        return data.Dataset(np.zeros((4, 64)), seen[-1])

    *_, last = start(2, join=join)
    assert len(seen) == 2
    assert not np.array_equal(*seen)
    params = last.snapshot.params
    np.testing.assert_array_equal(params["w0"], model.init_params((64, 16, 10))["w0"])  # no ink
    assert params["b1"].any()
    assert last.train_loss == float(model.loss(last.params, *SMALL))


def test_the_recipe_counts_the_steps_with_synthetic_digits():
    config = recipe.configure({"epochs": 2, "hidden": (4,), "batch_size": 64, "synthetic": 0.5})
    digits = material.load_split(config)
    *_, last = run.start(config, digits)
    steps = last.snapshot.state[-1].step
    assert steps == config.steps(len(digits.train.labels)) == 2 * -(-(1293 + 646) // 64)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"rate": -1.0}, "rate"), ({"warmup": 1.0}, "warmup"), ({"weight_decay": -1.0}, "decay")],
)
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_settings_of_the_descent_that_make_no_sense_are_refused(optimizer, changed, message):
    config = recipe.Config(optimizer=optimizer, schedule="cosine", **changed)
    with pytest.raises(ValueError, match=message):
        optimizer_choice.choose_optimizer(config, 100)


def test_decay_shrinks_weights_and_spares_biases():
    for optimizer in ("gd", "adamw"):
        config = recipe.Config(optimizer=optimizer, rate=0.1, weight_decay=0.5)
        descends = optimizer_choice.choose_optimizer(config, 1)
        params = {"w0": np.ones((2, 2)), "b0": np.ones(2)}
        zeros = td.tree.map(np.zeros_like, params)
        after, _ = descends.update(params, zeros, descends.init(params))
        np.testing.assert_allclose(after["w0"], 0.95)
        np.testing.assert_array_equal(after["b0"], 1)


def test_each_size_of_batch_has_its_program():
    step = loop.make_step(optimizer := td.optim.momentum(0.1))
    params, rng = model.init_params((64, 16, 10)), np.random.default_rng(0)
    state = optimizer.init(params)
    for _ in range(3):
        for batch in data.minibatches(SMALL, 10, rng):
            params, state, _ = step(params, state, *batch)
    info = step.cache_info()
    assert (info.traces, info.programs) == (2, 2)  # 10 images, and the 4 of 64 that remain


class Odd(np.ndarray):
    """An array that a program cannot hold."""


@pytest.mark.parametrize("odd", [np.ndarray.tolist, lambda array: array.view(Odd)])
@pytest.mark.parametrize("backend", ["numpy", None])
def test_the_step_gets_plain_arrays(odd, backend, monkeypatch):
    made, kinds = loop.make_step, set()

    def watched(*args):
        step = made(*args)

        def watching(params, state, *batch):
            kinds.update(map(type, batch))
            return step(params, state, *batch)

        return watching

    monkeypatch.setattr(loop, "make_step", watched)
    *_, last = start(1, dataset=data.Dataset(*map(odd, SMALL)), backend=backend)
    *_, expected = start(1)
    assert kinds == {np.ndarray}
    assert last.scores() == expected.scores()


def test_training_prints_nothing(capfd):
    list(start())
    assert capfd.readouterr() == ("", "")


def test_the_same_seed_gives_the_same_parameters():
    (*_, one), (*_, two) = start(), start()
    td.tree.map(np.testing.assert_array_equal, one.params, two.params)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"dataset": data.Dataset(SMALL.images * 16, SMALL.labels)}, "divide by 16"),
        ({"dataset": data.Dataset(SMALL.images.reshape(-1, 8, 8), SMALL.labels)}, "reshape"),
        ({"params": model.init_params((64, 4, 9))}, "0 to 8"),
        ({"backend": "abacus"}, "backend"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_first_epoch(options, message):
    with pytest.raises(ValueError, match=message):
        start(**options)


@pytest.mark.parametrize("backend", ["numpy", None])
def test_a_loss_that_explodes_says_so(backend):
    with pytest.raises(FloatingPointError, match=r"epoch \d+: lower the learning rate"):
        list(start(50, td.optim.gradient_descent(1e200), backend=backend))


def test_evaluation_counts():
    labels = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 8])  # no 9; the last 8 is taken for a 9
    dataset = data.Dataset(np.eye(64)[:10], labels)
    found = evaluation.evaluate({"w0": 9 * np.eye(64)[:, :10], "b0": np.zeros(10)}, dataset)
    assert found.accuracy == pytest.approx(0.9)
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (labels, np.arange(10)), 1)
    np.testing.assert_array_equal(found.confusion, expected)
    assert found.report["8"]["recall"] == 0.5
    assert found.report["9"] == {"precision": 0, "recall": 0, "f1-score": 0, "support": 0}


def test_the_headline_on_the_plain_split():
    """Plain gradient descent, 64-64-32-10: at least 97 % of the 360 test digits."""
    config = recipe.Config()
    assert (config.optimizer, config.hidden) == ("gd", (64, 32))
    dataset = material.load_split(config)
    *_, last = run.start(config, dataset)
    assert evaluation.evaluate(last.params, dataset.test).accuracy >= 0.97
