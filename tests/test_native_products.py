"""Products by loops of our own are NumPy's, whatever does not divide and however matrices lie."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.jit_programs import skip_without

pytestmark = pytest.mark.sampled
SHAPES = [(33, 16, 300), (1500, 17, 21), (70, 100, 64), (5, 33, 7), (256, 40, 96), (1, 20, 30)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("turned", ["", "a", "b", "ab"])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_numpys(shape, turned, dtype, rng):
    skip_without("native")
    from tinygrad_digits.compiler.native import small_products

    m, n, k = shape
    a = rng.standard_normal((k, m) if "a" in turned else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if "b" in turned else (k, n)).astype(dtype)

    def multiply(a, b):
        return (a.T if "a" in turned else a) @ (b.T if "b" in turned else b)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_products, "pays", lambda _a, _b: True)
        patch.setattr("tinygrad_digits.compiler.native.cache.read", lambda _key: None)
        patch.setattr("tinygrad_digits.compiler.native.cache.write", lambda _key, _code: None)
        got = td.jit(multiply, backend="native")(a, b)
    wanted = multiply(a, b)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * np.max(np.abs(wanted)))
    assert got.dtype == dtype


def test_where_our_loops_pay():
    skip_without("native")
    from tinygrad_digits.compiler.native.code import Place
    from tinygrad_digits.compiler.native.small_products import pays

    def lay(shape, strides=None):
        return Place(None, None, shape, np.dtype(np.float32), strides)

    assert pays(lay((1437, 64)), lay((64, 64)))
    assert not pays(lay((32, 64)), lay((64, 64)))
    assert not pays(lay((64, 64)), lay((64, 256), (1, 64)))  # the transpose of (256, 64)
    assert not pays(lay((256, 784)), lay((784, 512)))
    assert not pays(lay((1437, 32)), lay((32, 10)))
