"""Cases of ops.special, and of logsumexp and softmax with the keywords that SciPy gives them."""

import numpy as np
import scipy.special
import scipy.stats

from tests.cases import case, name_of, nonzero, normal, positive, uniform
from tinygrad_digits.ops import OPS, softmax, special

WEIGHTS = np.array([[1.0, 0.0, 0.5]])


def like(name, *args, **options):
    """A case of a function that SciPy has under the same name."""
    op = getattr(special, name, None) or getattr(softmax, name)
    return case(op, *args, **options).but(label=name_of(op), reference=getattr(scipy.special, name))


def mills(x):
    return scipy.stats.norm.pdf(x) / scipy.special.ndtr(x)


PROBABILITIES = uniform(0.05, 0.95, 3, 4)
SMOOTH = ("erf", "erfc", "ndtr", "log_ndtr", "i0", "i1", "expit")
ONE = [
    *[like(name, draw) for name in SMOOTH for draw in (normal(), normal(3, 4))],
    *[like("logit", draw) for draw in (uniform(0.1, 0.2), uniform(0.3, 0.7, 3), PROBABILITIES)],
    *[like("erfinv", draw) for draw in (uniform(-0.9, 0.9), uniform(-0.9, 0.9, 3, 4))],
    *[like("entr", draw) for draw in (positive(), positive(3))],
    *[like(name, draw) for name in ("gammaln", "digamma") for draw in (positive(), positive(3))],
    *[like(name, uniform(-0.7, -0.3, 3)) for name in ("gammaln", "digamma")],
    *[like("polygamma", n, positive()) for n in (1, 0, 3)],
    like("polygamma", n=2, x=positive(3)),
    like("log_ndtr", uniform(-30, -10, 4)),
    case(special.mills, normal()).but(reference=mills),
    *[
        case(special.gaussian, normal(3), scale=scale).but(
            reference=lambda x, scale: np.exp(-scale * x * x)
        )
        for scale in (0.5, 1.0)
    ],
    *[
        case(special.excess, draw, n=1).but(
            reference=lambda x, n: x + scipy.stats.norm.pdf(x) / scipy.special.ndtr(x)
        )
        for draw in (normal(3), uniform(-4, -3, 3))
    ],
    *[
        case(special.curvature, draw).but(reference=lambda x: mills(x) * (x + mills(x)))
        for draw in (normal(3), uniform(-4, -3, 3))
    ],
    case(special.erfinv_slope, uniform(-0.9, 0.9, 3)).but(
        reference=lambda x: np.sqrt(np.pi) / 2 * np.exp(scipy.special.erfinv(x) ** 2)
    ),
    case(special.iv, normal(), n=2).but(reference=lambda x, n: scipy.special.iv(n, x)),
]


def rise(a, b, n):
    return scipy.special.polygamma(n, a + b) - scipy.special.polygamma(n, a)


TWO = [
    *[case(special.rise, positive(3), positive(3), n=n).but(reference=rise) for n in (0, 1)],
    case(special.quotient, positive(3), nonzero(3)).but(reference=np.divide),
    *[like(name, positive(), positive()) for name in ("beta", "betaln", "xlogy")],
    *[like(name, positive(3, 1), positive(4)) for name in ("beta", "betaln", "xlogy")],
    *[like(name, positive(3), 2.0) for name in ("beta", "betaln", "xlogy")],
    *[like(name, 0.5, positive()) for name in ("beta", "betaln", "xlogy")],
    like("xlogy", 0.0, positive(3)),
    like("xlogy", normal(3), 2.0),
]
MASK = np.array([[True, False, True], [True, True, False]])


def only(f):
    """SciPy's function of that name, where -inf has taken the place of what a mask leaves out."""
    scipys = getattr(scipy.special, f.__name__)
    return lambda x, where, **options: scipys(np.where(where, x, -np.inf), **options)


def by_rows(name):
    return lambda x: getattr(scipy.special, name)(x, axis=-1)


def shares(x, axis=None):
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


def unit(x, axis=None):
    return x / np.sqrt(np.sum(x * x, axis=axis, keepdims=True))


ROWS = ((3, 4), (5,), (2, 3, 4), (2, 1))
SHAPES = ((3, 4), (), (2, 1, 3), (0, 2))
AXES = [
    *({}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 2)}),
    *({"axis": (-1, 0), "keepdims": True}, {"axis": None, "keepdims": True}),
]
KEPT = [{}, {"axis": 0}, {"axis": (0, 2)}, {"axis": -1}]
SUMS = [
    like("logsumexp", normal(3, 4)),
    like("logsumexp", normal(2, 3), axis=1, keepdims=True),
    like("logsumexp", normal(2, 3, 2), axis=(0, -1)),
    like("logsumexp", normal(2, 3), b=WEIGHTS),
    like("logsumexp", normal(2, 3), -1, positive(3)),
    like("logsumexp", normal(3), b=positive(2, 1), axis=0, keepdims=True),
    like("logsumexp", normal(2, 3), b=nonzero(2, 3), axis=0, return_sign=True),
    like("logsumexp", normal(2, 3), return_sign=True),
    like("logsumexp", normal(), b=2.0),
    *[like("logsumexp", normal(2, 3, 4), **axes) for axes in AXES],
    like("logsumexp", normal()),
    like("logsumexp", normal(5), axis=-1),
    *[
        like(name, normal(2, 3, 2), axis=axis)
        for name in ("softmax", "log_softmax")
        for axis in (-1, 0, None, (0, -1), (1,))
    ],
    *[
        case(f, normal(*shape)).but(label=name_of(f), reference=by_rows(f.__name__))
        for f in (softmax.softmax, softmax.log_softmax)
        for shape in ROWS
    ],
    *[like(name, normal(), axis=axis) for name in ("softmax", "log_softmax") for axis in (None, 0)],
    *[
        case(f, normal(2, 3), axis=axis, where=MASK).but(label=name_of(f), reference=only(f))
        for f in (softmax.softmax,)
        for axis in (-1, 0)
    ],
    case(softmax.log_softmax, normal(2, 3), where=np.full(3, True)).but(
        label="td.nn.log_softmax",
        reference=lambda x, where: scipy.special.log_softmax(x, axis=-1),
    ),
    case(softmax.logsumexp, normal(2, 3), axis=1, where=MASK).but(
        label="td.special.logsumexp", reference=only(softmax.logsumexp)
    ),
    case(softmax.logsumexp, normal(2, 3), axis=1, b=WEIGHTS, where=MASK).but(
        label="td.special.logsumexp", reference=only(softmax.logsumexp)
    ),
]
ITSELF = [
    case(scipy.special.erf, normal(3)).but(label="scipy.special.erf"),
    case(scipy.special.digamma, positive(3)).but(label="scipy.special.digamma"),
    case(scipy.special.beta, positive(3), positive(2, 1)).but(label="scipy.special.beta"),
]
INSIDE_RULES = [
    *[
        case(OPS["log_probabilities"], normal(*shape)).but(reference=by_rows("log_softmax"))
        for shape in ROWS
    ],
    *[
        each
        for name, reference, draw in (("unit", unit, nonzero), ("shares", shares, normal))
        for each in (
            *[case(OPS[name], draw(2, 3, 4), **axes).but(reference=reference) for axes in KEPT],
            case(OPS[name], draw()).but(reference=reference),
            case(OPS[name], draw(5), axis=-1).but(reference=reference),
        )
    ],
    *[
        case(OPS[name], draw(*shape)).but(reference=reference)
        for name, reference, draw in (
            ("half_reciprocal", lambda y: 0.5 / y, positive),
            ("square_root", np.sqrt, positive),
            ("logistic", lambda x: np.exp(x) / (1 + np.exp(x)) ** 2, normal),
        )
        for shape in SHAPES
    ],
    *[
        case(OPS["nll"], normal(*shape), np.array(at)).but(
            reference=lambda x, at: np.mean([-x.flat[i] for i in at])
        )
        for shape, at in (
            ((4, 3), [2, 3, 8, 10]),
            ((2, 3, 5), [0, 9, 11, 15, 23, 27]),
            ((1, 2), [1]),
        )
    ],
]
CASES = [*ONE, *TWO, *SUMS, *ITSELF, *INSIDE_RULES]
