import gc
import os
import zlib

import numpy as np
import pytest
from hypothesis import is_hypothesis_test, settings

from tests.cases import all_cases, rows_recorded
from tests.jit_programs import skip_without

settings.register_profile("default", deadline=None, max_examples=40)
settings.register_profile("gate", deadline=None, max_examples=200)


SAMPLED = "sampled: of its parameters the quick tier tries the first ones, the full tier all"
"""A mark of tests, or of files, whose every item compiles something of the same kind."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Use all cores where pytest-xdist is installed and the command line does not say otherwise."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    alone = config.pluginmanager.hasplugin("xdist") and config.option.numprocesses is None
    if alone and not is_worker:
        config.option.numprocesses = "auto"
        config.option.maxprocesses = 4
        config.option.dist = "worksteal"


def pytest_configure(config):
    """Keep what a test compiles: a later run finds it under the digest of its source."""
    config.addinivalue_line("markers", SAMPLED)
    settings.load_profile("gate" if config.option.markexpr == "gate" else "default")
    if "TINYGRAD_DIGITS_CACHE" not in os.environ and hasattr(config, "cache"):
        os.environ["TINYGRAD_DIGITS_CACHE"] = str(config.cache.mkdir("native"))


SLOW = {
    f"test_{name}.py"
    for name in (
        # processes, browsers, training
        *("benchmarks", "cli", "dask", "digits_images", "digits_recipe", "digits_sources"),
        *("digits_calibration", "digits_compared_runs", "digits_own_data", "digits_strokes"),
        *("digits_threads", "digits_training", "estimator", "examples"),
        *("native_correlation", "native_loops", "ode"),
        *("complex_peers", "native", "notebook", "peers", "ports", "report", "resume", "serve"),
        *("sweep", "typing", "watch"),
        *("accuracy", "rules_as_functions"),  # mpmath
        # every function in every way
        *("broadcasting", "complex_pairs", "dtypes", "edges", "kinks"),
        *("options", "purity", "shapes"),
    )
}
"""Tests that take long, and why."""


IN_THE_GATE = {"test_examples.py", "test_notebook.py"}
"""Programs that the gate runs anyway, and that take as long as a hundred other tests."""


def pytest_ignore_collect(collection_path, config):
    """The quick tier does not even import the slow files, for what they import is slow too."""
    if config.option.markexpr == "quick" and collection_path.name in SLOW:
        return True
    return None


def pytest_collection_modifyitems(config, items):
    """Mark as quick what neither compiles native code nor is slow; the gate draws more examples.

    Clusters of processes are the gate's, too.
    """
    tried = set()
    for item in items:
        if item.path.name in IN_THE_GATE or "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.gate)
        native = "native" in item.name
        slow = item.path.name in SLOW or any(map(item.get_closest_marker, ("slow", "gate")))
        test = item.nodeid.partition("[")[0]
        again = test in tried and item.get_closest_marker("sampled")
        if not native and not slow and not again:
            item.add_marker(pytest.mark.quick)
            tried.add(test)
        draws = is_hypothesis_test(getattr(item, "obj", None))
        if draws and not native and config.option.markexpr == "gate":
            item.add_marker(pytest.mark.gate)


def pytest_collection_finish():
    """What is collected stays: the searches for cycles, some of them tests', go around it."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng(request):
    """A generator seeded by the test's own name: the same numbers in any order of tests."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(params=["numpy", "native"])
def backend(request):
    skip_without(request.param)
    return request.param


@pytest.fixture
def blank_pictures(monkeypatch):
    """A run's pictures are drawn, but not rendered: six of them, half of a short training's time.

    For tests that do not look at them.
    """
    from tinygrad_digits.digits.runs import plots

    monkeypatch.setattr(plots, "encode_png", lambda _figure, **_options: b"\x89PNG\r\n")
    monkeypatch.setattr(plots, "encode_svg", lambda _figure: b"<svg/>")


@pytest.fixture(scope="session")
def rows_of_cases():
    """Which case records each row first: {row's name: case}."""
    return rows_recorded(case for _, _, case in all_cases())
