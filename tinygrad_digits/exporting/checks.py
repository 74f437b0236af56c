"""What an exported file says of its arguments and loads: functions that are copied into it."""

from __future__ import annotations

import hashlib
import io
import pathlib
import warnings
from typing import Any

import numpy as np


def take_array(x: Any, name: str, dtype: str, shape: tuple[int | None, ...]) -> Any:
    """x as an array row by row, if it has this dtype and shape; None is any length."""
    x = np.asarray(x, order="C")
    wanted = f"{dtype}({', '.join('n' if k is None else str(k) for k in shape)})"
    found = f"{name} must be {wanted}, got {x.dtype}{x.shape}"
    if x.dtype != dtype:
        raise TypeError(f"{found}: write {name}.astype({dtype!r})")
    if x.ndim != len(shape) or any(k not in (None, n) for k, n in zip(shape, x.shape)):  # noqa: B905
        raise ValueError(found)
    return x


def take_number(x: Any, name: str) -> Any:
    """x as a Python float."""
    if not isinstance(x, (int, float)):
        raise TypeError(f"{name} must be a number, got a {type(x).__name__}")
    return float(x)


def take_complex_number(x: Any, name: str) -> Any:
    """x as a Python complex number."""
    if not isinstance(x, (int, float, complex)):
        raise TypeError(f"{name} must be a number, got a {type(x).__name__}")
    return complex(x)


def take_generator(x: Any, name: str) -> Any:
    """x, if it is a random generator."""
    if not isinstance(x, np.random.Generator):
        raise TypeError(f"{name} must be np.random.default_rng(...), got a {type(x).__name__}")
    return x


def take_fixed(x: Any, name: str, value: Any) -> None:
    """Refuse another value than the one that the program was made for."""
    if type(x) is not type(value) or x != value:
        raise ValueError(f"{name} is {value!r} in this program, got {x!r}")


def check_length(x: Any, name: str, n: int) -> None:
    """Refuse a batch of another length than the others have."""
    if len(x) != n:
        raise ValueError(f"{name} must have {n} rows as the others have, got {len(x)}")


def check_count(x: Any, name: str, count: int) -> None:
    """Refuse a list or a tuple with more or fewer elements."""
    if len(x) != count:
        raise ValueError(f"{name} must have {count} elements, got {len(x)}")


def check_keys(x: Any, name: str, keys: tuple[Any, ...]) -> None:
    """Refuse a dict with other keys."""
    if {*x} != {*keys}:
        raise ValueError(f"{name} must have the keys {keys}, got {(*x,)}")


def check_shape(x: Any, shape: tuple[int, ...], name: str) -> Any:
    """x, if it has the shape that it had when the program was made."""
    if np.shape(x) != shape:
        raise ValueError(f"{name} gave the shape {np.shape(x)}, but {shape} before")
    return x


def load_arrays(name: str, digest: str) -> Any:
    """The arrays in the file of this name beside this one, if it is the one it was written with."""
    data = pathlib.Path(__file__).with_name(name).read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{name} is damaged, or not what {pathlib.Path(__file__).name} came with")
    return np.load(io.BytesIO(data), allow_pickle=False)


def warn(message: str, category: type[Warning]) -> None:
    """A warning that shows the line that has called the program."""
    warnings.warn(message, category, stacklevel=4)  # a check, the program, and its caller


def as_array(x: Any, dtype: Any = None) -> Any:
    """x as an array, unless it is one, or a scalar of NumPy's."""
    return x if hasattr(x, "dtype") else np.asarray(x, dtype)


def run_loop(step: Any, consts: Any, carry: Any, xs: Any, stacked: Any, order: Any) -> Any:
    """The last carries, and arrays with what each step has given besides."""
    for i in order:
        given = step(*consts, *carry, *[x[i] for x in xs])
        carry, rows = given[: len(carry)], given[len(carry) :]
        for y, row in zip(stacked, rows, strict=True):
            y[i] = row
    return [*carry, *stacked]


def run_while(holds: Any, step: Any, consts: Any, carry: Any, most: Any = None) -> Any:
    """The carries when a condition holds no more, or after so many steps."""
    count = 0
    while (most is None or count < most) and holds(*consts, *carry)[0]:
        carry, count = step(*consts, *carry), count + 1
    return carry
