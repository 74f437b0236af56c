"""td.odeint against SciPy, closed forms and central differences."""

import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import RK45, solve_ivp

import tinygrad_digits as td
from tinygrad_digits.transforms.runge_kutta import METHODS

ADAPTIVE = [name for name, method in METHODS.items() if method.error]
ADJOINTS = ["discrete", "continuous"]


def decay(y, _t, rate):
    return -rate * y


def oscillator(y, _t, omega):
    return np.stack([y[1], -(omega**2) * y[0]])


def lotka_volterra(y, _t, rates):
    hares, lynxes = y[0], y[1]
    a, b, c, d = rates
    return np.stack([hares * (a - b * lynxes), lynxes * (c * hares - d)])


def pendulum(y, _t, length, friction):
    return np.stack([y[1], -9.81 / length * np.sin(y[0]) - friction * y[1]])


def van_der_pol(y, _t, mu):
    return np.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def forced(y, t):
    return np.sin(t) * y - np.exp(-t)


PROBLEMS = {
    "decay": (decay, np.array([1.0, 2.0]), 5.0, (0.8,)),
    "lotka_volterra": (
        lotka_volterra,
        np.array([1.0, 1.0]),
        8.0,
        (np.array([1.5, 1.0, 1.0, 3.0]),),
    ),
    "pendulum": (pendulum, np.array([2.0, 0.0]), 6.0, (1.3, 0.1)),
    "van_der_pol": (van_der_pol, np.array([2.0, 0.0]), 6.0, (1.0,)),
    "forced": (forced, np.array([1.0]), 4.0, ()),
}


def solve_exactly(f, y0, ts, args):
    """SciPy's solution, by a method of order 8 at tolerances that do not count."""
    solution = solve_ivp(
        lambda t, y: f(y, t, *args), (ts[0], ts[-1]), y0,
        method="DOP853", t_eval=ts, rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    return solution.y.T


@pytest.fixture(params=PROBLEMS)
def problem(request):
    return PROBLEMS[request.param]


# --- solutions


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-10])
def test_solutions_are_scipys_at_the_tolerance(problem, method, tolerance):
    f, y0, end, args = problem
    ts = np.linspace(0, end, 23)
    exact = solve_exactly(f, y0, ts, args)
    ours = td.odeint(f, y0, ts, *args, rtol=tolerance, atol=tolerance, method=method)
    scipys = solve_ivp(
        lambda t, y: f(y, t, *args), (0, end), y0, t_eval=ts, rtol=tolerance, atol=tolerance
    ).y.T
    assert ours.shape == exact.shape
    assert np.abs(ours - exact).max() <= 3 * np.abs(scipys - exact).max() + 10 * tolerance
    assert_allclose(ours, exact, rtol=300 * tolerance, atol=300 * tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_there_and_back(problem, method):
    f, y0, end, args = problem
    ts = np.linspace(0, end / 2, 200)
    there = td.odeint(f, y0, ts, *args, method=method, rtol=1e-8)
    assert (there[0] == y0).all()
    back = td.odeint(f, there[-1], ts[::-1], *args, method=method, rtol=1e-8)
    assert_allclose(back[::-1], there, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_an_end_that_comes_before_the_start(adjoint):
    ts = np.array([3.0, 1.0, -2.0])
    assert_allclose(td.odeint(decay, 1.0, ts, 0.5), np.exp(-0.5 * (ts - 3)), rtol=1e-5)

    def last(rate):
        return td.odeint(decay, 1.0, ts, rate, adjoint=adjoint)[-1]

    assert_allclose(td.grad(last)(0.5), 5 * np.exp(2.5), rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_errors_fall_with_the_order(method, monkeypatch):
    """Steps of a given length, halved: the error falls by 2 to the order. y = 1 / (1 + t^2)."""
    monkeypatch.setitem(METHODS, "given", METHODS[method]._replace(error=()))
    errors = []
    for steps in (32, 64, 128):
        ts = np.linspace(0, 2, steps + 1)
        path = td.odeint(lambda y, t: -2 * t * y**2, 1.0, ts, method="given")
        errors.append(abs(path[-1] - 0.2))
    measured = np.log2(np.divide(errors[:-1], errors[1:])) - METHODS[method].order
    assert (measured > -0.05).all()
    assert (measured < 0.45).all()


@pytest.mark.parametrize("method", ADAPTIVE)
def test_between_steps_the_solution_is_as_good_as_at_them(method):
    ts = np.linspace(0, 10, 1001)
    path = td.odeint(oscillator, np.array([1.0, 0.0]), ts, 1.0, rtol=1e-8, method=method)
    errors = np.abs(path[:, 0] - np.cos(ts))
    assert errors[-1] < 1e-6
    assert errors.max() < 2e-6


def test_substeps_make_rk4_better():
    ts = np.linspace(0, 2, 5)
    errors = [
        np.abs(td.odeint(decay, 1.0, ts, 1.0, method="rk4", substeps=n) - np.exp(-ts)).max()
        for n in (2, 4, 8)
    ]
    assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 4, atol=0.3)


def test_the_tables_meet_the_conditions_of_their_order():
    """Butcher's conditions up to order 4, for the solution and for the interpolant within."""
    for name, method in METHODS.items():
        stages = len(method.nodes)
        a = np.zeros((stages, stages))
        for i, row in enumerate(method.weights):
            a[i, : len(row)] = row
        c = np.array(method.nodes)
        assert_allclose(a.sum(1), c, atol=1e-14, err_msg=name)
        shares = {1.0: a[-1]}
        for theta in (0.3, 0.7, 1.0) if method.dense else ():
            shares[theta] = np.array(method.dense) @ theta ** np.arange(1, 5)
        for theta, b in shares.items():
            for value, order, exact in [
                (b.sum(), 1, 1), (b @ c, 2, 1 / 2), (b @ c**2, 3, 1 / 3), (b @ a @ c, 3, 1 / 6),
                (b @ c**3, 4, 1 / 4), (b * c @ a @ c, 4, 1 / 8), (b @ a @ c**2, 4, 1 / 12),
                (b @ a @ a @ c, 4, 1 / 24),
            ]:  # fmt: skip
                assert_allclose(value, exact * theta**order, atol=3e-14, err_msg=name)
        if method.error:
            assert_allclose([np.dot(method.error, c**k) for k in range(4)], 0, atol=1e-14)


def test_the_table_of_dormand_and_prince_is_scipys():
    table = METHODS["dopri5"]
    assert_allclose(table.error, -RK45.E, atol=1e-16)
    assert_allclose(table.dense, RK45.P, rtol=1e-15)
    assert_allclose(table.weights[-1], RK45.B, rtol=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_a_table_says_how_far_it_is_stable(method):
    """|R(z)| = 1 at the end of the interval of stability, and less before."""
    table = METHODS[method]
    a = np.zeros((len(table.nodes),) * 2)
    for i, row in enumerate(table.weights):
        a[i, : len(row)] = row

    def growth(z):
        return 1 + z * a[-1] @ np.linalg.solve(np.eye(len(a)) - z * a, np.ones(len(a)))

    if table.stability:
        assert abs(abs(growth(-table.stability)) - 1) < 1e-3
        assert abs(growth(-0.99 * table.stability)) < 1


# --- trees, dtypes, times


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_trees_are_states(adjoint):
    def f(y, _t, p):
        return {"v": -p["k"] * y["x"], "x": y["v"], "name": None}

    y0 = {"x": np.ones((2, 3)), "v": 0.0, "name": "spring"}
    y0["v"] = np.zeros((2, 3))
    ts = np.linspace(0, 1, 4)
    path = td.odeint(f, y0, ts, {"k": 4.0}, adjoint=adjoint)
    assert path["name"] == "spring"
    assert path["x"].shape == (4, 2, 3)
    assert_allclose(path["x"][:, 1, 2], np.cos(2 * ts), atol=1e-5)
    assert_allclose(path["v"][:, 0, 0], -2 * np.sin(2 * ts), atol=1e-5)

    def last(y0, p):
        return td.odeint(f, y0, ts, p, adjoint=adjoint)["x"][-1, 1, 2]

    of_y0, of_p = td.grad(last, (0, 1))(y0, {"k": 4.0})
    assert of_y0["name"] == "spring"
    assert_allclose(of_y0["x"][1], [0, 0, np.cos(2)], atol=1e-5)
    assert_allclose(of_y0["v"][1], [0, 0, np.sin(2) / 2], atol=1e-5)
    assert_allclose(of_p["k"], -np.sin(2) / 4, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_float32_stays(method, adjoint):
    y0, ts = np.ones(3, np.float32), np.linspace(0, 1, 9)

    def f(y, t, rate):
        assert y.dtype == t.dtype == np.float32
        return -rate * y * t * np.ones(3)  # a float64

    path = td.odeint(f, y0, ts, np.float32(0.5), method=method)
    assert path.dtype == np.float32
    assert_allclose(path[:, 0], np.exp(-0.25 * ts**2), rtol=2e-4)
    grads = td.grad(
        lambda y0, ts, rate: td.odeint(f, y0, ts, rate, method=method, adjoint=adjoint)[-1].sum(),
        (0, 1, 2),
    )(y0, ts.astype(np.float32), np.float32(0.5))
    assert [g.dtype for g in grads] == [np.float32] * 3
    assert_allclose(grads[0], np.exp(-0.25), rtol=1e-3)
    assert_allclose(grads[2], -1.5 * np.exp(-0.25), rtol=1e-3)


def test_leaves_keep_their_own_dtypes():
    y0 = {"a": np.ones(2, np.float32), "b": 2.0}
    path = td.odeint(lambda y, t: td.tree.map(np.negative, y), y0, [0, 1])
    assert path["a"].dtype == np.float32
    assert path["b"].dtype == np.float64
    assert path["b"].shape == (2,)


@pytest.mark.parametrize("method", METHODS)
def test_times_that_say_little(method):
    assert td.odeint(decay, 3.0, [1.0], 0.5, method=method).tolist() == [3.0]
    assert td.odeint(decay, 3.0, [1, 1, 1], 0.5, method=method).tolist() == [3.0] * 3
    twice = td.odeint(decay, 3.0, [0, 0, 1, 1], 0.5, method=method)
    assert twice[0] == twice[1] == 3.0
    assert twice[2] == twice[3]
    slope = td.grad(lambda t: td.odeint(decay, 3.0, np.stack([t, t]), 0.5, method=method)[1])
    assert_allclose(slope(1.0), 0, atol=1e-12)


def test_an_equation_cannot_write_into_the_state():
    def f(y, _t):
        y[0] = 0.0
        return y

    with pytest.raises(ValueError, match="read-only"):
        td.odeint(f, np.ones(2), [0, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: td.odeint(decay, 1.0, 2.0, 0.5), td.errors.ShapeError, r"got \(\)"),
        (lambda: td.odeint(decay, 1.0, [0, 2, 1], 0.5), ValueError, "must increase, or decrease"),
        (lambda: td.odeint(decay, 1.0, [0, np.inf], 0.5), ValueError, "must be finite"),
        (lambda: td.odeint(lambda t, y: -y, 1.0, [0, 1]), TypeError, "takes t first.*lambda y, t"),
        (lambda: td.odeint(decay, {"name": "x"}, [0, 1]), TypeError, "no floating-point array"),
        (lambda: td.odeint(lambda y, _t: 1j * y, 1.0, [0, 1]), TypeError, r"astype\(complex\)"),
        (lambda: td.odeint(decay, np.array([1]), [0, 1], 0.5), TypeError, r"y0 is int64.*astype"),
        (lambda: td.odeint(decay, 1.0, [0, 1], 0.5, method="euler"), ValueError, "dopri5, tsit5"),
        (lambda: td.odeint(decay, 1.0, [0, 1], 0.5, adjoint="no"), ValueError, "discrete, contin"),
        (lambda: td.odeint(decay, 1.0, [0, 1], 0.5, rtol=-1.0), ValueError, "rtol is a tolerance"),
        (lambda: td.odeint(decay, 1.0, [0, 1], 0.5, atol=np.nan), ValueError, "atol is a toleran"),
        (lambda: td.odeint(decay, 1.0, [0, 1], 0.5, max_steps=0), ValueError, "max_steps is a num"),
        (
            lambda: td.odeint(decay, 1.0, [0, 1], 0.5, method="rk4", substeps=0),
            ValueError,
            "substeps is a number of steps, at least 1, got 0",
        ),
        (
            lambda: td.odeint(lambda y, t: [y[1], y[0]], np.ones(2), [0, 1]),
            td.errors.ShapeError,
            "like y0.*np.stack",
        ),
        (
            lambda: td.odeint(lambda y, t: y[:1], np.ones(2), [0, 1]),
            td.errors.ShapeError,
            r"returned \(1,\) for y0, of \(2,\)",
        ),
        (
            lambda: td.odeint(lambda y, t: {"a": y["a"], "b": 0.0}, {"a": 1.0}, [0, 1]),
            td.errors.ShapeError,
            "trees differ",
        ),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_the_gradient_of_a_number_is_a_scalar(adjoint):
    def last(rate):
        return td.odeint(decay, 1.0, [0, 1], rate, adjoint=adjoint)[-1]

    assert type(td.grad(last)(0.5)) is np.float64


# --- steps that fail, and steps that are many


@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_pole_is_named_by_its_time(method):
    with pytest.raises(td.errors.ConvergenceError, match=r"stopped at t = 1, short of 2") as caught:
        td.odeint(lambda y, t: y * y, 1.0, [0, 2], method=method)
    assert 0 < caught.value.steps < 1000
    assert caught.value.residual == pytest.approx(1.0, rel=1e-3)
    with pytest.raises(td.errors.ConvergenceError, match=r"stopped at t = 0, short of -1.*finite"):
        td.odeint(lambda y, t: y * np.nan, 1.0, [0, -1], method=method)


def test_a_gradient_stops_where_the_solution_does():
    with pytest.raises(td.errors.ConvergenceError, match="stopped at t = 1,"):
        td.grad(lambda y0: td.odeint(lambda y, t: y * y, y0, [0, 2])[-1])(1.0)


def test_too_many_steps():
    with pytest.raises(td.errors.ConvergenceError, match="after 5 steps; max_steps are too few"):
        td.odeint(oscillator, np.array([1.0, 0.0]), [0, 100], 1.0, max_steps=5)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_stiffness_is_told_of(method):
    def relax(y, t):
        return -1000 * (y - np.cos(t))

    with pytest.warns(td.errors.StiffnessWarning, match=r"from t = 0\.\d+ on.*Radau") as caught:
        path = td.odeint(relax, 0.0, [0, 2], method=method)
    assert caught[0].filename == __file__
    assert_allclose(path[-1], np.cos(2.0) + np.sin(2.0) / 1000, atol=1e-5)


def test_what_is_not_stiff_is_not_called_so(problem):
    f, y0, end, args = problem
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        td.odeint(f, y0, np.linspace(0, 4 * end, 3), *args, rtol=1e-3, atol=1e-3)
        td.odeint(f, y0, np.linspace(0, 4 * end, 3), *args, rtol=1e-9)


def test_steps_start_from_nothing_and_get_over_a_jump():
    path = td.odeint(lambda y, t: np.where(t < 1, 0.0, 1.0) * np.ones(1), np.zeros(1), [0, 3])
    assert_allclose(path[-1], 2, atol=1e-4)


# --- derivatives


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_gradients_agree_with_central_differences(problem, method, adjoint):
    f, y0, end, args = problem
    ts = np.linspace(0, end / 4, 3)
    weights = np.random.default_rng(0).standard_normal((3, len(y0)))

    def loss(y0, ts, args):
        path = td.odeint(
            f, y0, ts, *args, rtol=1e-10, atol=1e-10, method=method, adjoint=adjoint, substeps=20
        )
        return np.sum(weights * path)

    td.check_grads(loss, y0, ts, args, rtol=1e-4, order=1)  # steps move with the arguments


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_derivatives_of_decay_in_closed_form(method, adjoint):
    """y = y0 exp(-rate (t - t0)), of orders one and two."""
    options = {"rtol": 1e-10, "atol": 1e-12, "method": method, "adjoint": adjoint, "substeps": 20}
    y0, start, end, rate = 1.5, 0.5, 2.0, 0.7

    def last(y0, start, end, rate):
        return td.odeint(decay, y0, np.stack([start, end]), rate, **options)[-1]

    every = (0, 1, 2, 3)
    y, span = y0 * np.exp(-rate * (end - start)), end - start
    first = np.array([y / y0, rate * y, -rate * y, -span * y])
    assert_allclose(td.grad(last, every)(y0, start, end, rate), first, rtol=1e-6)
    second = td.grad(lambda rate: td.grad(last, 3)(y0, start, end, rate))(rate)
    assert_allclose(second, span**2 * y, rtol=1e-6)
    mixed = td.grad(lambda y0: td.grad(last, 3)(y0, start, end, rate))(y0)
    assert_allclose(mixed, -span * y / y0, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_derivatives_of_the_oscillator_in_closed_form(method, adjoint):
    """y = (cos ωt, -ω sin ωt): by ω, by the start, and by each of the times."""
    ts, omega = np.linspace(0, 2, 11), 1.7

    def path(y0, ts, omega):
        return td.odeint(
            oscillator, y0, ts, omega, rtol=1e-10, method=method, adjoint=adjoint, substeps=20
        )

    y0 = np.array([1.0, 0.0])
    by_omega = td.grad(lambda omega: path(y0, ts, omega)[:, 0].sum())(omega)
    assert_allclose(by_omega, np.sum(-ts * np.sin(omega * ts)), rtol=1e-6)
    by_start = td.grad(lambda y0: path(y0, ts, omega)[-1, 0])(y0)
    assert_allclose(by_start, [np.cos(2 * omega), np.sin(2 * omega) / omega], rtol=1e-6)
    by_times = td.grad(lambda ts: path(y0, ts, omega)[:, 0].sum())(ts)
    assert_allclose(by_times[1:], -omega * np.sin(omega * ts[1:]), rtol=1e-5, atol=1e-6)
    assert_allclose(by_times[0], omega * np.sin(omega * ts).sum(), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_both_adjoints_agree(problem, method):
    f, y0, end, args = problem
    ts = np.linspace(0, end / 2, 4)

    def loss(y0, ts, args, adjoint):
        path = td.odeint(f, y0, ts, *args, rtol=1e-8, method=method, adjoint=adjoint, substeps=60)
        return np.mean(path**2)

    discrete, continuous = (
        td.tree.ravel(td.grad(loss, (0, 1, 2))(y0, ts, args, adjoint))[0] for adjoint in ADJOINTS
    )
    assert_allclose(discrete, continuous, rtol=2e-5, atol=2e-6)


def test_a_hessian_is_symmetric_and_right():
    def last(p):
        return td.odeint(decay, p[0], [0, 1.5], p[1], rtol=1e-10)[-1]

    a, rate, y = 2.0, 0.7, np.exp(-0.7 * 1.5)
    exact = [[0, -1.5 * y], [-1.5 * y, a * 1.5**2 * y]]
    assert_allclose(td.hessian(last)(np.array([a, rate])), exact, rtol=1e-6, atol=1e-9)


def test_forward_mode():
    ts = np.linspace(0, 2, 5)
    y, tangent = td.jvp(lambda rate: td.odeint(decay, 1.0, ts, rate, rtol=1e-9), (0.5,), (1.0,))
    assert_allclose(y, np.exp(-0.5 * ts), rtol=1e-7)
    assert_allclose(tangent, -ts * np.exp(-0.5 * ts), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_a_tensor_that_was_not_given_is_refused(method, adjoint):
    def last(rate):
        return td.odeint(lambda y, t: -rate * y, 1.0, [0, 1], method=method, adjoint=adjoint)[-1]

    assert_allclose(last(0.5), np.exp(-0.5), rtol=1e-3)
    with pytest.raises(td.errors.NotDifferentiableError, match="pass it in args"):
        td.grad(last)(0.5)
    with pytest.raises(td.errors.NotDifferentiableError, match="pass it in args"):
        td.grad(lambda rate: td.grad(lambda y0: y0 * last(rate))(1.0))(0.5)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_what_is_no_number_goes_through_args(adjoint):
    def f(y, _t, how, params, power):
        return how(params["w"]) * y**power

    def loss(params):
        return td.odeint(f, 1.0, [0, 1], np.negative, params, 1, adjoint=adjoint)[-1]

    grads = td.grad(loss)({"w": 0.5, "name": "rate"})
    assert grads["name"] == "rate"
    assert_allclose(grads["w"], -np.exp(-0.5), rtol=1e-5)


def test_an_inner_gradient_is_part_of_the_equation():
    def energy(q, k):
        return 0.5 * k * np.sum(q**2)

    def f(y, _t, k):
        return np.stack([y[1], -td.grad(energy)(y[0], k)])

    def last(k):
        return td.odeint(f, np.array([1.0, 0.0]), [0, 1.0], k, rtol=1e-10)[-1, 0]

    assert_allclose(last(4.0), np.cos(2.0), rtol=1e-8)
    assert_allclose(td.grad(last)(4.0), -np.sin(2.0) / 4, rtol=1e-7)


def measure_peak(f):
    tracemalloc.start()
    f()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.slow
def test_the_memory_of_a_gradient_is_that_of_few_steps():
    """4 times as many steps take 2 times the memory by segments, and no more by the adjoint."""

    def run(end, adjoint):
        def last(rate):
            return np.sum(td.odeint(swing, np.ones(4_000), [0.0, end], rate, adjoint=adjoint)[-1])

        td.grad(last)(1.0)

    def swing(y, t, rate):
        return rate * np.cos(t) * y

    discrete = [measure_peak(lambda end=end: run(end, "discrete")) for end in (10.0, 40.0)]
    continuous = [measure_peak(lambda end=end: run(end, "continuous")) for end in (10.0, 40.0)]
    assert discrete[1] < 2.8 * discrete[0]
    assert continuous[1] < 1.2 * continuous[0]


@pytest.mark.parametrize("option", ["substeps", "max_steps"])
def test_a_program_keeps_few_of_the_steps_for_its_gradient(option):
    """16 times as many steps, or places for them, take about 4 times the memory."""

    def run(steps):
        def last(rate):
            how = {option: steps, "method": "rk4" if option == "substeps" else "dopri5"}
            return np.sum(td.odeint(decay, np.ones(2_000), [0.0, 1.0], rate, **how)[-1])

        td.jit(td.grad(last))(0.5)

    run(50)  # which loads what is loaded once
    few, many = (measure_peak(lambda n=n: run(n)) for n in (100, 1_600))
    assert many < 5 * few


# --- with other transforms


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_batches_of_problems(method, adjoint):
    """Each example takes its own steps, as a loop over them would."""
    ts = np.linspace(0, 1, 3)
    rates, starts = np.array([0.5, 1.0, 10.0]), np.array([[1.0, 2.0], [0.0, 1.0], [3.0, -1.0]])

    def loss(y0, rate, ts):
        path = td.odeint(decay, y0, ts, rate, method=method, adjoint=adjoint, substeps=4)
        return np.sum(path**2)

    for f in (loss, td.grad(loss, (0, 1, 2))):
        batched = td.vmap(f, (0, 0, None))(starts, rates, ts)
        each = [f(y0, rate, ts) for y0, rate in zip(starts, rates, strict=True)]
        stacked = td.tree.map(lambda *xs: np.stack(xs), *each)
        td.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-10, atol=1e-12), batched, stacked)

    total = td.grad(lambda rate: np.sum(td.vmap(loss, (0, None, None))(starts, rate, ts)))(0.5)
    each = [td.grad(loss, 1)(y0, 0.5, ts) for y0 in starts]
    assert_allclose(total, sum(each), rtol=1e-10)


def test_batches_of_times():
    ends = np.array([1.0, 2.0, 4.0])
    batched = td.vmap(lambda end: td.odeint(decay, 1.0, np.stack([0 * end, end]), 0.5)[-1])(ends)
    assert_allclose(batched, np.exp(-0.5 * ends), rtol=1e-5)


def test_debugging_and_recording_see_the_steps():
    def last(rate):
        return td.odeint(decay, 1.0, [0, 1], rate)[-1]

    assert_allclose(td.debug(td.grad(last))(0.5), -np.exp(-0.5), rtol=1e-5)
    assert "multiply" in str(td.record(last, 0.5))


# --- jitted whole


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_a_program_does_what_eager_does(method, adjoint):
    f, y0, _, args = PROBLEMS["pendulum"]
    ts = np.linspace(0, 1, 4)

    def loss(y0, ts, args):
        return np.sum(td.odeint(f, y0, ts, *args, method=method, adjoint=adjoint) ** 2)

    for g in (loss, td.grad(loss, (0, 1, 2))):
        program = td.jit(g)
        for length in (1.0, 4.0):  # which takes other steps in the same program
            eager, jitted = (h(y0, length * ts, args) for h in (g, program))
            td.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-10, atol=1e-12), eager, jitted)
        assert len(program.programs) == 1


def test_a_program_for_a_second_derivative():
    def last(rate):
        return td.odeint(decay, 1.5, [0, 2], rate, rtol=1e-9)[-1]

    second = td.jit(td.grad(td.grad(last)))(0.7)
    assert_allclose(second, td.grad(td.grad(last))(0.7), rtol=1e-11)
    assert_allclose(second, 1.5 * 4 * np.exp(-1.4), rtol=1e-6)


def test_a_program_knows_what_its_equation_captures():
    """A value that is traced, and not differentiated, may come from a closure."""

    @td.jit
    def last(rate):
        return td.odeint(lambda y, t: -rate * y, 1.0, [0, 1])[-1]

    assert_allclose(last(0.5), np.exp(-0.5), rtol=1e-6)
    assert_allclose(last(2.0), np.exp(-2.0), rtol=1e-6)
    with pytest.raises(td.errors.NotDifferentiableError, match="pass it in args"):
        td.jit(td.grad(last.__wrapped__))(0.5)


@pytest.mark.parametrize("transform", [lambda f: f, td.grad], ids=["value", "gradient"])
def test_a_program_raises_what_eager_raises(transform):
    """The values decide, those of the call, and not those of the trace."""

    def last(y0, end):
        return td.odeint(lambda y, t: y * y, y0, np.stack([0 * end, end]))[-1]

    program = td.jit(transform(last))
    assert_allclose(program(1.0, 0.5), transform(last)(1.0, 0.5), rtol=1e-12)
    with pytest.raises(td.errors.ConvergenceError, match=r"stopped at t = 1, short of 2,.*pole"):
        program(1.0, 2.0)
    assert_allclose(program(0.5, 1.0), transform(last)(0.5, 1.0), rtol=1e-12)
    assert len(program.programs) == 1


def test_a_program_has_room_for_max_steps():
    def last(omega, max_steps):
        start = np.array([1.0, 0.0])
        return td.odeint(oscillator, start, [0, 10], omega, max_steps=max_steps)[-1, 0]

    program = td.jit(td.grad(last))
    assert_allclose(program(1.0, 100), td.grad(last)(1.0, 100), rtol=1e-10)
    with pytest.raises(td.errors.ConvergenceError, match="after 100 steps; max_steps are too few"):
        program(50.0, 100)


def test_a_program_notices_stiffness_and_disorder():
    program = td.jit(lambda rate: td.odeint(lambda y, t: rate * (np.cos(t) - y), 0.0, [0, 1])[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program(1.0)
    with pytest.warns(td.errors.StiffnessWarning, match="stiff from t = 0.1"):
        program(1000.0)
    ordered = td.jit(lambda ts: td.odeint(decay, 1.0, ts, 0.5))
    ordered(np.array([0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="must increase, or decrease"):
        ordered(np.array([0.0, 2.0, 1.0]))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_programs_of_batches_and_batches_of_programs(method):
    rates, ts = np.array([0.5, 1.0, 10.0]), np.linspace(0, 2, 4)

    def loss(rate):
        return np.sum(td.odeint(decay, 1.0, ts, rate, method=method) ** 2)

    for f in (loss, td.grad(loss)):
        expected = np.stack([f(rate) for rate in rates])
        assert_allclose(td.jit(td.vmap(f))(rates), expected, rtol=1e-9, atol=1e-12)
        assert_allclose(td.vmap(td.jit(f))(rates), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("given", [True, False], ids=["given", "captured"])
@pytest.mark.parametrize("transform", [lambda f: f, td.jit], ids=["eager", "program"])
def test_solutions_in_the_steps_of_a_loop(transform, given):
    """A step is traced by itself, and differentiated later."""

    def last(rate):
        def step(y, _):
            f, args = (decay, (rate,)) if given else (lambda y, t: -rate * y, ())
            return td.odeint(f, y, [0, 0.5], *args, rtol=1e-9)[-1], None

        return td.scan(step, 1.0, None, length=4)[0]

    assert_allclose(transform(last)(0.7), np.exp(-1.4), rtol=1e-7)
    if given or transform is td.jit:
        assert_allclose(transform(td.grad(last))(0.7), -2 * np.exp(-1.4), rtol=1e-7)
        assert_allclose(transform(td.grad(td.grad(last)))(0.7), 4 * np.exp(-1.4), rtol=1e-6)


def test_labelled_data_are_taken_by_position():
    pandas = pytest.importorskip("pandas")
    ts = pandas.Series([0.0, 1.0, 2.0], index=[5, 6, 7])
    path = td.odeint(decay, pandas.Series([1.0, 2.0]), ts, 0.5)
    assert_allclose(path, np.exp(-0.5 * ts.to_numpy())[:, None] * [1, 2], rtol=1e-6)


def test_a_network_as_an_equation():
    """All parameters of a network in f, by central differences through the program."""
    rng = np.random.default_rng(0)
    params = [(0.5 * rng.standard_normal((2, 8)), np.zeros(8)),
              (0.5 * rng.standard_normal((8, 2)), np.zeros(2))]  # fmt: skip
    y0 = rng.standard_normal((5, 2))

    def network(y, _t, params):
        (w1, b1), (w2, b2) = params
        return np.tanh(y**3 @ w1 + b1) @ w2 + b2

    @td.jit
    def loss(params):
        path = td.odeint(network, y0, np.linspace(0, 1, 7), params, rtol=1e-10, max_steps=100)
        return np.mean(path**2)

    grads = td.jit(td.grad(loss))(params)
    vector, unravel = td.tree.ravel(params)
    direction = rng.standard_normal(len(vector))
    step = 1e-4 * direction
    difference = (loss(unravel(vector + step)) - loss(unravel(vector - step))) / 2e-4
    assert_allclose(td.tree.ravel(grads)[0] @ direction, difference, rtol=1e-6)


@pytest.mark.parametrize("method", ["dopri5", "rk4"])
@pytest.mark.parametrize("y0", [np.zeros(0), {"a": np.zeros((0, 3))}])
def test_nothing_to_solve_for_is_refused(y0, method):
    with pytest.raises(td.errors.ShapeError, match="all arrays of y0 are empty"):
        td.odeint(lambda y, _t: y, y0, np.array([0.0, 1.0]), method=method)
