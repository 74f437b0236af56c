"""What other processes need: functions pickle as what they were made of."""

import copy
import inspect
import pickle
import subprocess
import sys

import cloudpickle
import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tinygrad_digits.digits.model import mlp as model
from tinygrad_digits.support.pickling import Restorable


def energy(x):
    return np.sum(np.tanh(x) ** 2)


def curve(x):
    return np.tanh(x) ** 2


def paired(x):
    return energy(x), {"norm": np.sum(x)}


def curve_and_x(x):
    return curve(x), x


def pull(x, g):
    return (g * x,)


def large(p):
    return p.ndim > 1


@td.grad
def slope(x):
    return energy(x)


@td.jit
@td.grad
def quick_slope(x):
    return energy(x)


@td.checkpoint
def recomputed(x):
    return energy(x)


@td.custom_vjp
def ruled(x):
    return curve(x)


ruled.defvjp(curve_and_x, pull)


class Well:
    depth = 2.0

    def energy(self, x):
        return self.depth * np.sum(x**2)

    force = td.grad(energy, 1)


X = np.array([0.5, -1.0, 2.0])
TRANSFORMED = {
    "grad": (td.grad(energy), X),
    "grad, has_aux": (td.grad(paired, has_aux=True), X),
    "grad, argnums": (td.grad(np.multiply, (0, 1)), 2.0, 3.0),
    "value_and_grad": (td.value_and_grad(energy), X),
    "grad of grad": (td.elementwise_grad(td.elementwise_grad(curve)), X),
    "jacobian": (td.jacobian(curve, mode="forward"), X),
    "hessian": (td.hessian(energy), X),
    "vmap": (td.vmap(energy, 1), np.eye(3)),
    "vmap of grad": (td.vmap(td.grad(energy)), np.eye(3)),
    "checkpoint": (td.grad(td.checkpoint(energy)), X),
    "debug": (td.debug(td.grad(energy)), X),
    "custom_vjp": (td.custom_vjp(curve, curve_and_x, pull), X),
    "grad of custom_vjp": (td.vjp(td.custom_vjp(curve, curve_and_x, pull), X)[1], X),
    "vjp": (td.vjp(curve, X)[1], X),
    "vjp, has_aux": (td.vjp(curve_and_x, X, has_aux=True)[1], X),
    "linearize": (td.linearize(curve, X)[1], X),
    "jit": (td.jit(td.value_and_grad(energy)), X),
    "jit, options": (td.jit(energy, donate="x", cache_size=3), X),
}
DECORATED = [slope, quick_slope, recomputed, ruled]
OPTIMIZERS = {
    "gradient_descent": td.optim.gradient_descent(0.1),
    "momentum": td.optim.momentum(0.1),
    "nesterov": td.optim.nesterov(0.1, beta=0.5),
    "rmsprop": td.optim.rmsprop(0.1),
    "adagrad": td.optim.adagrad(0.1),
    "adam": td.optim.adam(td.optim.schedules.cosine(0.1, 10)),
    "adamw": td.optim.adamw(0.1),
    "lion": td.optim.lion(0.1),
    "accumulate": td.optim.accumulate(td.optim.adam(0.1), 2),
    "ema": td.optim.ema(td.optim.momentum(0.1), 0.9),
    "chain": td.optim.chain(
        td.optim.clip_by_global_norm(1.0),
        td.optim.weight_decay(0.1, large),
        td.optim.gradient_descent(td.optim.schedules.warmup(0.1, 3)),
    ),
}
SCHEDULES = [
    td.optim.schedules.constant(0.1),
    td.optim.schedules.step_decay(0.1, 0.5, 2),
    td.optim.schedules.cosine(0.1, 10),
    td.optim.schedules.warmup(td.optim.schedules.cosine(0.1, 10), 3),
    td.optim.schedules.one_cycle(0.1, 10),
]


def through_pickle(thing, module=pickle):
    return pickle.loads(module.dumps(thing))


def assert_same(a, b):
    td.tree.map(lambda x, y: assert_array_equal(x, y, strict=True), a, b)


@pytest.mark.parametrize("name", TRANSFORMED)
def test_a_transformed_function_pickles(name):
    f, *args = TRANSFORMED[name]
    again = through_pickle(f)
    assert again is not f
    assert_same(again(*args), f(*args))
    assert again.__name__ == f.__name__
    assert inspect.signature(again) == inspect.signature(f)


@pytest.mark.parametrize("transform", [td.grad, td.vmap, td.hessian, td.checkpoint, td.jit])
def test_what_is_made_of_a_lambda_needs_cloudpickle(transform):
    power = 2.0
    f = transform(lambda x: np.sum(x**power))
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(f)
    assert_same(through_pickle(f, cloudpickle)(X), f(X))


@pytest.mark.parametrize("f", DECORATED, ids=lambda f: f.__name__)
def test_a_decorated_function_pickles_as_its_name(f):
    assert through_pickle(f) is f
    assert through_pickle(td.vmap(f))(X[None]).shape[0] == 1


def test_a_jitted_function_leaves_its_programs_behind():
    f = td.jit(td.grad(energy), donate="x", cache_size=3)
    size = len(pickle.dumps(f))
    f(X.copy())
    assert len(pickle.dumps(f)) == size
    again = through_pickle(f)
    assert again.cache_info() == (0, 0, 3)
    assert again.donate == {"x"}


def test_a_program_notices_a_tensor_that_a_pickled_gradient_closes_over():
    def outer(w):
        return td.grad(lambda x: np.sum(w * x**2))(X)[0]

    assert td.grad(lambda w: td.jit(outer)(w) * 3.0)(1.0) == 6.0 * X[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_pickles(name):
    optimizer, again = OPTIMIZERS[name], through_pickle(OPTIMIZERS[name])
    params, grads = {"w": np.eye(2), "b": np.ones(2)}, {"w": np.ones((2, 2)), "b": X[:2]}
    state = optimizer.init(params)
    assert_same(again.init(params), state)
    assert_same(again.update(params, grads, state), optimizer.update(params, grads, state))
    assert type(again) is td.optim.Optimizer
    update = through_pickle(optimizer.update)  # by itself
    assert_same(update(params, grads, state), optimizer.update(params, grads, state))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_pickles(schedule):
    again = through_pickle(schedule)
    assert [again(k) for k in range(12)] == [schedule(k) for k in range(12)]


def test_a_chain_of_chains_pickles_in_proportion():
    optimizer, sizes = td.optim.gradient_descent(0.1), []
    for _ in range(12):
        optimizer = td.optim.accumulate(optimizer, 2)
        sizes.append(len(pickle.dumps(optimizer)))
    assert sizes[-1] - sizes[-2] <= sizes[2] - sizes[1] + 16


def test_a_made_function_is_otherwise_like_any_function():
    f = td.grad(energy)
    assert isinstance(f, Restorable)
    assert copy.copy(f) is copy.deepcopy(f) is f
    assert repr(f).startswith("<function grad(energy) at ")
    assert Well().force(3.0) == 12.0
    assert Well.force.__name__ == "grad(energy)"


def test_workers_compute_gradients_and_programs():
    rng = np.random.default_rng(0)
    params = model.init_params((64, 16, 10), rng)
    images, labels = rng.random((8, 64)), np.arange(8)
    scale = 0.5
    of_all = [
        td.grad(model.loss),
        td.jit(td.value_and_grad(model.loss)),
        td.vmap(td.grad(model.loss), (None, 0, 0)),
        td.grad(lambda *args: scale * model.loss(*args)),
    ]
    args = [params, images, labels]
    shaped = [args, args, [params, images[:, None], labels[:, None]], args]
    tasks = [joblib.delayed(f)(*xs) for f, xs in zip(of_all, shaped, strict=True)]
    for found, f, xs in zip(joblib.Parallel(2)(tasks), of_all, shaped, strict=True):
        assert_same(found, f(*xs))


SCRIPT = """
import joblib, multiprocessing, pickle, numpy as np, tinygrad_digits as td

@td.jit
@td.grad
def slope(x):
    return np.sum(x**2)

@td.custom_vjp
def clipped(x):
    return x

clipped.defvjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1, 1),))

if __name__ == "__main__":
    found = joblib.Parallel(2)(joblib.delayed(f)(3.0) for f in (slope, td.grad(clipped)))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found += pool.map(slope, [4.0])
    print(*map(float, found))
"""


@pytest.mark.slow
def test_a_script_sends_its_own_decorated_functions(tmp_path):
    """Workers of joblib do not have the script as a module; those of multiprocessing do."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stdout == "6.0 1.0 8.0\n", done.stderr
