"""The public face: about forty names at the top, rooms for the rest, and the names of before."""

import inspect
import operator
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import tinygrad_digits as td
from tinygrad_digits.support import errors as defined

ROOMS = ("errors", "linalg", "nn", "optim", "special", "tree")
FLAT = """
    AutodiffError ChangedArrayError ConvergenceError DegenerateWarning DisconnectedWarning
    Each EscapedTensorError GradientMismatchError Kind LostGradientError Minimum
    MissingExtraError NonFiniteError NotDifferentiableError Record RetraceWarning RuleError
    ShapeError Tape Tensor TracedValueError at avg_pool2d batch_norm beta betaln
    binary_cross_entropy_with_logits check_grads checkpoint cho_solve conv2d cross_entropy
    custom_vjp debug define digamma dropout elementwise_grad elu embedding entr erf erfc
    erfinv expit expm fixed_point gammaln gelu grad hard_tanh hessian hinge huber hvp i0 i1
    jacobian jit jvp kl_divergence layer_norm leaky_relu linalg linearize log_ndtr log_softmax
    logit logsumexp max_pool2d minimize mish mse ndtr one_hot ops optim piecewise polygamma
    primitive profile record relu selu sigmoid silu softmax softplus solve_triangular
    stop_gradient tree value_and_grad vjp vmap xlogy
    """
"""All that stood at the top before there were rooms."""


@pytest.fixture
def moved(request):
    """A name that has moved, as nobody has asked for it yet."""
    vars(td).pop(request.param, None)
    yield request.param
    vars(td).pop(request.param, None)


@pytest.mark.parametrize("moved", td._MOVED, indirect=True)
def test_a_name_that_moved_is_what_it_was_and_says_once_where_it_is_now(moved):
    now = td._MOVED[moved]
    with pytest.warns(DeprecationWarning, match=rf"^td\.{moved} is now td\.{now}$") as caught:
        value = getattr(td, moved)
    assert value is operator.attrgetter(now)(td)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(td, moved) is value


def test_all_that_stood_at_the_top_is_there_or_has_moved():
    flat = set(FLAT.split())
    stayed = flat - set(td._MOVED) - {"ops"}
    assert stayed <= set(td.__all__)
    assert td._MOVED.keys() <= flat
    assert inspect.ismodule(td.ops)


def test_a_name_that_was_never_there_is_an_error():
    with pytest.raises(AttributeError, match="has no attribute rleu"):
        _ = td.rleu


def test_a_warning_points_at_the_import():
    program = "from tinygrad_digits import relu, softmax\nprint(relu(-1.0))\n"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "0.0\n"
    lines = re.findall(r"^<string>:1: DeprecationWarning: (.*)$", done.stderr, re.MULTILINE)
    assert lines == ["td.relu is now td.nn.relu", "td.softmax is now td.nn.softmax"]


def test_the_top_has_about_forty_names_and_shows_no_others():
    assert 35 <= len(td.__all__) <= 50
    assert td.__all__ == sorted(td.__all__)
    assert [name for name in dir(td) if not name.startswith("__")] == td.__all__


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_a_module_whose_docstring_says_what_is_in_it(room):
    module = getattr(td, room)
    assert module.__name__ == f"tinygrad_digits.{room}"
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
        if room in ("linalg", "nn", "special"):
            assert re.search(rf"\b{name}\b", module.__doc__), name


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.slow
@pytest.mark.slow
def test_a_room_is_entered_by_any_door(room):
    program = f"""
import tinygrad_digits.{room} as first
import tinygrad_digits
from tinygrad_digits import {room} as second
assert first is second is tinygrad_digits.{room}
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_every_error_is_in_its_room():
    ours = {
        name
        for name, value in vars(defined).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert set(td.errors.__all__) == ours


@pytest.mark.parametrize(("room", "scipys"), [("special", scipy.special), ("linalg", scipy.linalg)])
def test_names_of_scipy_are_scipys(room, scipys):
    for name in getattr(td, room).__all__:
        assert callable(getattr(scipys, name))


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: td.grad(np.sin, argnum=1), "grad has no option 'argnum': did you mean argnums?"),
        (lambda: td.value_and_grad(np.sin, argnum=1), "did you mean argnums?"),
        (lambda: td.jacobian(np.sin, argnum=(0, 1)), "did you mean argnums?"),
        (lambda: td.hessian(np.sin, argnum=1), "did you mean argnums?"),
        (lambda: td.elementwise_grad(np.sin, argnum=1), "did you mean argnums?"),
        (lambda: td.grad(np.sin, aux=True), "did you mean has_aux? It has argnums, has_aux"),
        (lambda: td.vmap(np.sin, in_axis=1), "did you mean in_axes?"),
        (lambda: td.jit(np.sin, static_argnums=0), "did you mean static_argnames?"),
        (lambda: td.jit(static_argnames="x", donate_argnums=0), "did you mean donate?"),
        (lambda: td.jit(np.sin, x=1), "has no option 'x': It has backend, static_argnames, donate"),
    ],
)
def test_an_option_that_is_none_is_answered_with_the_one_that_is(call, hint):
    with pytest.raises(TypeError, match=re.escape(hint)):
        call()
