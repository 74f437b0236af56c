import zlib

import numpy as np
import pytest

from tests.cases import all_cases, rows_recorded


@pytest.fixture
def rng(request):
    """A generator seeded by the test's own name: the same numbers in any order of tests."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(scope="session")
def rows_of_cases():
    """Which case records each row first: {row's name: case}."""
    return rows_recorded(case for _, _, case in all_cases())
