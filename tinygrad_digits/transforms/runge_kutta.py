"""Runge-Kutta methods: tables of numbers, and the step that they all take.

    take_step   : method, slope, t, h, y, k -> stages, slopes at them
    interpolate : method, times, starts, slopes, ts -> y at each of ts

A slope is f as a function (t, y) -> dy/dt of a time and a vector. All methods here evaluate it last
at the step's end, where the next step begins, and hand it on ("first same as last"). The formulas
are those of Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, 1993, ch. II.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from ..engine.primitive import Array

Slope: TypeAlias = Callable[[Array, Array], Array]
"""(t, y) -> dy/dt, of a time and a vector."""


class Method(NamedTuple):
    """A method as Butcher writes it: stage i is y + h sum_j weights[i][j] k_j at t + nodes[i] h.

    The last stage is the solution at t + h.
    """

    order: int
    nodes: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    error: tuple[float, ...] = ()
    """What the embedded solution is away from the solution: of each slope, times h."""
    dense: tuple[tuple[float, ...], ...] = ()
    """For each slope its weight at t + theta h: the coefficients of theta, theta^2 ..."""
    stability: float = 0.0
    """How far the region of stability reaches along the negative real axis."""

    @property
    def adaptive(self) -> bool:
        """Whether it tells the error of a step, by which the next one's length is chosen."""
        return bool(self.error)


RK4 = Method(
    order=4,
    nodes=(0, 1 / 2, 1 / 2, 1, 1),
    weights=(
        (),
        (1 / 2,),
        (0, 1 / 2),
        (0, 0, 1),
        (1 / 6, 1 / 3, 1 / 3, 1 / 6),
    ),
)
"""The classical method (Kutta, 1901), in steps that are given."""

DOPRI5 = Method(
    order=5,
    nodes=(0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1),
    weights=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    error=(71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    dense=(
        (1, -8048581381 / 2820520608, 8663915743 / 2820520608, -12715105075 / 11282082432),
        (0, 0, 0, 0),
        (0, 131558114200 / 32700410799, -68118460800 / 10900136933, 87487479700 / 32700410799),
        (0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072),
        (0, 127303824393 / 49829197408, -318862633887 / 49829197408, 701980252875 / 199316789632),
        (0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844),
        (0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423),
    ),
    stability=3.3066,
)
"""Dormand and Prince, 1980; the interpolant of least error is Shampine's, 1986."""

TSIT5 = Method(
    order=5,
    nodes=(0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1),
    weights=(
        (),
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (
            5.86145544294642,
            -12.92096931784711,
            8.159367898576159,
            -0.071584973281401,
            -0.028269050394068383,
        ),
        (
            0.09646076681806523,
            0.01,
            0.4798896504144996,
            1.379008574103742,
            -3.290069515436081,
            2.324710524099774,
        ),
    ),
    error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        1 / 66,
    ),
    dense=(
        (1, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0, 0.1317, -0.2234, 0.1017),
        (0, 3.930296236894751, -5.941033872131505, 2.490627285651253),
        (0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
        (0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (0, -27.896526289197286, 65.09189467479368, -34.87065786149661),
        (0, 1.5, -4, 2.5),
    ),
    stability=3.5068,
)
"""Tsitouras, 2011: errors about a third of those of DOPRI5, for the same evaluations."""

METHODS = {"dopri5": DOPRI5, "tsit5": TSIT5, "rk4": RK4}


def take_step(
    method: Method, slope: Slope, t: Array, h: Array, y: Array, k: Array
) -> tuple[list[Array], list[Array]]:
    """The stages of a step from y, where the slope is k, and the slopes there.

    The last of them are y and the slope at t + h.
    """
    stages, ks, length = [y], [k], h.astype(y.dtype)
    for node, row in zip(method.nodes[1:], method.weights[1:], strict=True):
        stages.append(y + length * combine(row, ks))
        ks.append(slope(t + node * h, stages[-1]))
    return stages, ks


def combine(weights: Sequence[float], slopes: Sequence[Array]) -> Array:
    """The sum of weights times slopes; weights of zero cost nothing."""
    terms = [weight * k for weight, k in zip(weights, slopes, strict=True) if weight]
    return functools.reduce(operator.add, terms)


def interpolate(method: Method, theta: Array, h: Array, y: Array, slopes: Array) -> Array:
    """The solution within steps of length h from y, at the shares theta of them.

    Shapes: theta and h (m,), y (m, n), slopes (m, stages, n) -> (m, n); or h (), y (n,) and slopes
    (stages, n) for one step. The interpolant is as wrong as the step: of order h^5.
    """
    powers = np.stack([theta ** (power + 1) for power in range(len(method.dense[0]))], axis=1)
    weights = powers @ np.array(method.dense).T  # (m, stages)
    weights = (weights * np.broadcast_to(h, theta.shape)[:, None]).astype(y.dtype)
    return y + (weights[:, None, :] @ slopes)[:, 0, :]
