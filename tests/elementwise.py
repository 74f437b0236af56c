"""Arguments for the elementwise rows, each by itself."""

import numpy as np

from tinygrad_digits.engine.primitive import Kind
from tinygrad_digits.ops import OPS

ROWS = [name for name, op in OPS.items() if op.primitive.kind == Kind.ELEMENTWISE]

RANGES = dict.fromkeys(
    ("arcsin", "arccos", "arctanh", "logit", "erfinv", "erfinv_slope"), (0.2, 0.8)
)
RANGES |= {"arccosh": (1.5, 2.5)}
"""Where rows are defined, if not from 0.5 to 1.5."""

OPTIONS = {"astype": {"dtype": np.float32}}
OPTIONS |= {name: {"order": 1} for name in ("sinc_derivative", "i0_derivative")}
OPTIONS["power_slope"] = {"by_base": 1, "by_exponent": 1}
OPTIONS |= {name: {"n": 1} for name in ("polygamma", "polygamma_rise", "excess", "iv")}
OPTIONS |= {"gaussian": {"scale": 0.5}}


def draw_arguments(name, shapes, rng):
    args = [rng.uniform(*RANGES.get(name, (0.5, 1.5)), shape) for shape in shapes]
    if name == "where":
        args[0] = args[0] > 1
    elif name == "ldexp":
        args[1] = (8 * args[1]).astype(int)
    return args


def floats(args):
    """The positions of what can be differentiated."""
    return tuple(i for i, x in enumerate(args) if getattr(x, "dtype", np.dtype(int)).kind == "f")


def put(args, xs):
    """The arguments with others in the place of what can be differentiated."""
    full = list(args)
    for i, x in zip(floats(args), xs, strict=True):
        full[i] = x
    return full
