"""Complex derivatives through what hides its ops: loops, equations, rules of one's own ...

The oracle is a difference of values, which knows nothing of rules.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_digits as td

Z = np.complex128(0.3 + 0.7j)
ROUGH = td.errors.NotDifferentiableError


def scan_of(f, z):
    return td.scan(lambda c, _: (f(c) * z, c * c), z, None, length=3)


def carry_a_time(f, z):
    def step(carry, _):
        state, t = carry
        return (f(state) * np.exp(1j * t), t + 0.1), None

    return td.scan(step, (z, 0.5), None, length=3)[0][0]


def with_rule(f, z):
    g = td.custom_vjp(f, lambda z: (f(z), z), lambda z, g: (td.vjp(f, z)[1](g),))
    return g(z) * z


def define_op(f, z):
    op = td.define(lambda x: np.asarray(f(x))[()], lambda g, _y, x: td.vjp(f, x)[1](g), name="mine")
    return op(z) * z


def decay(f, z, **options):
    times = np.array([0.0, 1.0])
    return td.odeint(lambda y, _t, a: -1j * f(y) * a, z, times, z * z, **options)[-1]


THROUGH = {
    "checkpoint": lambda f, z: td.checkpoint(f)(z) * z,
    "checkpoint of two": lambda f, z: np.prod(np.stack(td.checkpoint(lambda z: (f(z), z))(z))),
    "custom_vjp": with_rule,
    "define": define_op,
    "scan": lambda f, z: scan_of(f, z)[0],
    "scan's ys": lambda f, z: np.sum(scan_of(f, z)[1]),
    "scan with a time": carry_a_time,
    "scan in segments": lambda f, z: td.scan(
        lambda c, _: (f(c) * z, None), z, None, length=4, checkpoint=True
    )[0],
    "fori_loop": lambda f, z: td.fori_loop(0, 3, lambda _, c: f(c) * z, z),
    "cond": lambda f, z: td.cond(np.real(z) > 0, f, lambda z: z * z, z) * z,
    "switch": lambda f, z: td.switch(1, [lambda z: z, f], z),
    "while_loop": lambda f, z: td.while_loop(
        lambda c: np.abs(c) < 3, lambda c: f(c) * 0.5 + c * 1.5, z, max_steps=10
    ),
    "odeint": decay,
    "odeint by rk4": lambda f, z: decay(f, z, method="rk4", substeps=5),
    "vmap": lambda f, z: np.sum(td.vmap(f)(z * np.array([1, 2j]))),
    "jit": lambda f, z: td.jit(f)(z) * z,
}


def difference(h, z, step=1e-4):
    return (h(z + step) - h(z - step)) / (2 * step)


WAYS = {
    "grad": lambda h: td.grad(h, holomorphic=True),
    "jit(grad)": lambda h: td.jit(td.grad(h, holomorphic=True)),
    "vmap(grad)": lambda h: (
        lambda z: td.vmap(td.grad(h, holomorphic=True))(np.stack([z, z + 0.1j]))[0]
    ),
    "reverse": lambda h: td.jacobian(h, holomorphic=True, mode="reverse"),
    "forward": lambda h: td.jacobian(h, holomorphic=True, mode="forward"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", THROUGH)
def test_a_complex_derivative_goes_through(name, way):
    def h(z):
        return THROUGH[name](np.sin, z)

    assert_allclose(WAYS[way](h)(Z), difference(h, Z), rtol=1e-5)


ROUGH_ONES = {
    "conj": np.conj,
    "abs": lambda z: np.abs(z) * z,
    "real": lambda z: z * np.real(z).astype(complex),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rough", ROUGH_ONES)
@pytest.mark.parametrize("name", THROUGH)
def test_what_is_hidden_inside_is_refused(name, rough, way):
    with pytest.raises(ROUGH, match="not holomorphic"):
        WAYS[way](lambda z: THROUGH[name](ROUGH_ONES[rough], z))(Z)


@pytest.mark.parametrize("name", THROUGH)
def test_second_complex_derivatives_go_through(name):
    def h(z):
        return THROUGH[name](np.sin, z)

    g = td.grad(h, holomorphic=True)
    assert_allclose(td.grad(g, holomorphic=True)(Z), difference(g, Z), rtol=1e-5)


def test_fixed_points():
    """How many steps they take depends on values, so that a program has none."""

    def h(z):
        return td.fixed_point(lambda a, x: (x + np.sin(a) / x) / 2, z, 1 + 1j)

    root = np.sqrt(np.sin(Z))
    assert_allclose(td.grad(h, holomorphic=True)(Z), np.cos(Z) / (2 * root))
    for rough in ROUGH_ONES.values():

        def through(z, rough=rough):
            return td.fixed_point(lambda a, x: (x + rough(a) / x) / 2, z, 1 + 1j)

        with pytest.raises(ROUGH, match="not holomorphic"):
            td.grad(through, holomorphic=True)(Z)


def test_the_adjoint_equation_is_refused():
    with pytest.raises(ROUGH, match="not holomorphic"):
        td.grad(lambda z: decay(np.sin, z, adjoint="continuous"), holomorphic=True)(Z)


def test_a_rule_that_lies_beside_what_is_used_is_no_matter():
    """The absolute value is computed, and only decides."""

    @td.checkpoint
    def choose(z):
        return np.where(np.abs(z) > 0.5, np.sin(z), z), np.abs(z)

    def h(z):
        return choose(z)[0] * z

    assert_allclose(td.grad(h, holomorphic=True)(Z), difference(h, Z), rtol=1e-6)


def test_two_wrongs_make_no_right():
    """Their conjugates part by part, whose sum along one cotangent would vanish."""

    @td.checkpoint
    def parts(z):
        return np.conj(z), -1j * np.conj(z)

    with pytest.raises(ROUGH, match="not holomorphic"):
        td.grad(lambda z: parts(z)[0] + 1j * parts(z)[1], holomorphic=True)(Z)


def test_a_tree_of_complex_parameters_is_pulled_back_once():
    calls = []

    def backward(zs, g):
        calls.append(1)
        return ([g * multiply(zs) / z for z in zs],)

    def multiply(zs):
        return zs[0] * zs[1] * zs[2]

    product = td.custom_vjp(multiply, lambda zs: (multiply(zs), zs), backward)
    zs = [1 + 1j, 2 - 1j, 0.5j]
    got = td.grad(lambda zs: product(zs) * 2, holomorphic=True)(zs)
    assert_allclose(got, [2 * np.prod(zs) / z for z in zs])
    assert len(calls) == 1


def test_a_real_number_on_the_way_is_refused_whatever_made_it():
    with pytest.raises(ROUGH, match="not holomorphic"):
        td.grad(lambda z: np.sum(td.checkpoint(np.abs)(z)) * z, holomorphic=True)(Z)


V = np.array([0.3 + 0.7j, -1.2 + 0.1j, 0.4 - 2j])
M = np.array([[1 + 1j, 0.5, -0.2j], [0.1 - 0.4j, 2.0, 1 - 1j], [2j, 1.0, 0.3], [1.0, -1j, 0.2]])
LINEAR_IN_ONE = {
    "vecdot": (np.vecdot, V, 1),
    "vecmat": (np.vecmat, V, 1),
    "correlate": (np.correlate, V, 0),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b)[0], M, 1),
    "polyfit": (lambda x, y: np.polyfit(x, y, 1), np.arange(3.0), 1),
}


@pytest.mark.parametrize("way", ["grad", "jit(grad)", "vmap(grad)"])
@pytest.mark.parametrize("name", LINEAR_IN_ONE)
def test_what_conjugates_one_argument_is_holomorphic_in_the_other(name, way):
    f, other, place = LINEAR_IN_ONE[name]
    shape = (4,) if name == "lstsq" else (3, 2) if name == "vecmat" else (3,)
    units = np.arange(1, 1 + np.prod(shape)).reshape(shape) * (0.2 + 0.1j)

    def h(z, place=place):
        args = [other, np.sin(z * units)]
        return np.sum(f(*(args if place else args[::-1])) ** 2)

    assert_allclose(WAYS[way](h)(Z), difference(h, Z), rtol=1e-5)
    if name not in ("polyfit", "vecmat", "lstsq"):
        with pytest.raises(ROUGH, match=f"the derivative of {name} applies "):
            WAYS[way](lambda z: h(z, 1 - place))(Z)


OPS_IN_BOTH = {
    "convolve": lambda z: np.convolve(z * V, np.sin(z) * V),
    "matvec": lambda z: np.matvec(M * z, np.sin(z) * V),
    "matmul": lambda z: (M * z) @ (np.sin(z) * V),
    "vecdot": lambda z: np.vecdot(V, z * V),
}


@pytest.mark.parametrize("name", OPS_IN_BOTH)
def test_rules_leave_cotangents_unconjugated(name):
    """Or the op would be refused where it is hidden."""

    def h(z):
        inside = td.checkpoint(OPS_IN_BOTH[name])
        return np.sum(inside(z) ** 2)

    assert_allclose(WAYS["grad"](h)(Z), difference(h, Z), rtol=1e-5)
    assert_allclose(WAYS["forward"](h)(Z), difference(h, Z), rtol=1e-5)


def test_a_matrix_of_least_squares_is_refused():
    with pytest.raises(ROUGH, match="not holomorphic"):
        td.grad(lambda z: np.sum(np.linalg.lstsq(z * M, M)[0]), holomorphic=True)(Z)
