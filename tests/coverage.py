"""What of NumPy and SciPy is to work on Tensors, and the table of what does.

python -m tests.coverage             what is missing
python -m tests.coverage --write     writes docs/COVERAGE.md
"""

import functools
import inspect
import pathlib
import sys
import warnings

import numpy as np

import tinygrad_digits as td
from tests.cases import Drawn, all_cases, name_of
from tests.complexes import GAUGES, REAL_PARTS, TAKERS, UNORDERED, verdict
from tinygrad_digits.compiler.native.fusion import Role
from tinygrad_digits.compiler.native.loops import lower_loop
from tinygrad_digits.compiler.native.roles import Roles
from tinygrad_digits.compiler.native.segment import Kernels
from tinygrad_digits.compiler.passes.for_loops import prepare_for_loops
from tinygrad_digits.support.substitutes import NUMPY, REFUSED

DIFFERENTIABLE = {
    "ufuncs": """
        np.absolute np.fabs np.add np.arccos np.arccosh np.arcsin np.arcsinh np.arctan np.arctan2
        np.arctanh np.cbrt np.conjugate np.copysign np.cos np.cosh np.deg2rad np.degrees np.divide
        np.divmod np.exp np.exp2 np.expm1 np.float_power np.fmax np.fmin np.fmod np.frexp
        np.heaviside np.hypot np.ldexp np.log np.log10 np.log1p np.log2 np.logaddexp np.logaddexp2
        np.matmul np.matvec np.maximum np.minimum np.modf np.multiply np.negative np.nextafter
        np.positive np.power np.rad2deg np.radians np.reciprocal np.remainder np.sin np.sinh np.sqrt
        np.square np.subtract np.tan np.tanh np.vecdot np.vecmat
        np.angle np.clip np.i0 np.imag np.nan_to_num np.real np.real_if_close np.sinc
        np.add.reduce np.add.accumulate np.add.outer np.add.reduceat
        np.multiply.reduce np.multiply.accumulate np.multiply.outer np.multiply.reduceat
        np.maximum.reduce np.maximum.accumulate np.maximum.outer np.maximum.reduceat
        np.minimum.reduce np.minimum.accumulate np.minimum.outer np.minimum.reduceat
        np.logaddexp.reduce np.logaddexp.accumulate np.logaddexp.outer np.logaddexp.reduceat
        """,
    "reductions": """
        np.sum np.prod np.mean np.std np.var np.max np.min np.amax np.amin np.ptp np.median
        np.average np.percentile np.quantile np.nansum np.nanprod np.nanmean np.nanstd np.nanvar
        np.nanmax np.nanmin np.nanmedian np.nanpercentile np.nanquantile np.nancumsum np.nancumprod
        np.cumsum np.cumprod np.cumulative_sum np.cumulative_prod np.cov np.corrcoef
        """,
    "shaping": """
        np.reshape np.ravel np.transpose np.permute_dims np.matrix_transpose np.moveaxis
        np.rollaxis np.swapaxes np.expand_dims np.squeeze np.atleast_1d np.atleast_2d np.atleast_3d
        np.broadcast_to np.broadcast_arrays np.concatenate np.concat np.stack np.vstack np.hstack
        np.dstack np.column_stack np.append np.block np.split np.array_split np.hsplit np.vsplit
        np.dsplit np.unstack np.tile np.repeat np.roll np.rot90 np.flip np.fliplr np.flipud np.pad
        np.insert np.delete np.resize np.trim_zeros np.meshgrid
        """,
    "indexing": """
        np.take np.take_along_axis np.compress np.extract np.choose np.select np.piecewise np.where
        np.diag np.diagonal np.diagflat np.triu np.tril np.vander np.unique np.unique_all
        np.unique_counts np.unique_inverse np.unique_values td.at td.piecewise
        """,
    "linear algebra": """
        np.dot np.vdot np.inner np.outer np.tensordot np.einsum np.kron np.cross np.trace
        np.linalg.inv np.linalg.det np.linalg.slogdet np.linalg.solve np.linalg.lstsq
        np.linalg.cholesky np.linalg.qr np.linalg.eig np.linalg.eigvals
        np.linalg.eigh np.linalg.eigvalsh np.linalg.svd
        np.linalg.svdvals np.linalg.pinv np.linalg.norm np.linalg.vector_norm np.linalg.matrix_norm
        np.linalg.matrix_power np.linalg.multi_dot np.linalg.tensorinv np.linalg.tensorsolve
        np.linalg.cond np.linalg.matmul np.linalg.matrix_transpose np.linalg.outer np.linalg.cross
        np.linalg.tensordot np.linalg.vecdot np.linalg.trace np.linalg.diagonal
        """,
    "the rest": """
        np.sort np.partition np.diff np.ediff1d np.gradient np.trapezoid np.unwrap np.interp
        np.convolve np.correlate np.polyval np.bincount np.histogram np.histogram_bin_edges
        np.linspace np.logspace np.geomspace np.full_like np.copy np.astype
        np.apply_along_axis np.apply_over_axes np.polyadd np.polysub np.polyder np.polyint np.poly
        np.polyfit np.roots np.sort_complex np.lib.stride_tricks.sliding_window_view
        """,
    "Fourier transforms": """
        np.fft.fft np.fft.ifft np.fft.rfft np.fft.irfft np.fft.hfft np.fft.ihfft np.fft.fft2
        np.fft.ifft2 np.fft.fftn np.fft.ifftn np.fft.rfft2 np.fft.irfft2 np.fft.rfftn np.fft.irfftn
        np.fft.fftshift np.fft.ifftshift td.fft.dct td.fft.idct td.fft.dst td.fft.idst td.fft.dctn
        td.fft.idctn td.fft.dstn td.fft.idstn td.fft.hfft2 td.fft.ihfft2 td.fft.hfftn
        td.fft.ihfftn td.signal.fftconvolve td.signal.hilbert td.signal.stft td.signal.istft
        """,
    "scipy": """
        td.special.expit td.special.logit td.special.erf td.special.erfc td.special.erfinv
        td.special.gammaln td.special.digamma td.special.polygamma td.special.logsumexp
        td.nn.softmax td.nn.log_softmax td.special.xlogy td.special.entr td.special.i0
        td.special.i1 td.special.beta td.special.betaln td.special.ndtr td.special.log_ndtr
        td.linalg.solve_triangular td.linalg.cho_solve td.linalg.expm td.linalg.funm
        """,
    "neural": """
        td.nn.relu td.nn.sigmoid td.nn.softplus td.nn.gelu td.nn.silu td.nn.elu
        td.nn.leaky_relu td.nn.hard_tanh td.nn.selu td.nn.mish td.nn.dropout td.nn.conv2d
        td.nn.max_pool2d td.nn.avg_pool2d td.nn.layer_norm td.nn.batch_norm td.nn.embedding
        td.nn.cross_entropy td.nn.mse td.nn.huber td.nn.binary_cross_entropy_with_logits
        td.nn.kl_divergence td.nn.hinge
        """,
}
"""Chapter by chapter, the functions that have derivatives; each has cases."""

CONSTANT = """
    np.argsort np.argmax np.argmin np.nanargmax np.nanargmin np.argwhere np.argpartition
    np.searchsorted np.digitize np.sign np.floor np.ceil np.trunc np.rint np.fix np.round np.around
    np.floor_divide np.spacing np.signbit np.isfinite np.isinf np.isnan np.isneginf
    np.isposinf np.isreal np.iscomplex np.isrealobj np.iscomplexobj np.isclose np.allclose
    np.array_equal np.array_equiv np.equal np.not_equal np.less np.less_equal np.greater
    np.greater_equal np.logical_and np.logical_or np.logical_not np.logical_xor np.all np.any
    np.count_nonzero np.nonzero np.flatnonzero np.lexsort np.shape np.ndim np.size np.result_type
    np.can_cast np.min_scalar_type np.common_type np.iterable np.zeros_like np.ones_like
    np.empty_like np.isin np.linalg.matrix_rank np.shares_memory np.may_share_memory
    np.array_repr np.array_str np.array2string np.tril_indices_from
    np.triu_indices_from np.diag_indices_from
    """
"""Functions that are constant almost everywhere, or about something else than values."""


def found(name):
    """The function of a dotted name, or None where this NumPy or SciPy lacks it."""
    first, *rest = name.split(".")
    return functools.reduce(
        lambda x, part: getattr(x, part, None), rest, {"np": np, "td": td}[first]
    )


def names(text):
    return text.split()


def handled(function):
    """Whether Tensors are accepted: by a row, a composition, or because it is our own."""
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        return (function.__self__, function.__name__) in NUMPY
    return function in NUMPY or name_of(function).startswith("td.")


def keywords(function):
    """The names of a function's documented parameters that have a default."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.default is not p.empty]


def keywords_tested(name, cases):
    """Of a function, the parameters that its cases give, by keyword or by position."""
    try:
        places = list(inspect.signature(found(name)).parameters.values())
    except (TypeError, ValueError):
        places = []
    positional = [p.name for p in places if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    used = {key for case in cases for key in case.options}
    return used | {key for case in cases for key in positional[: len(case.args)]}


def keywords_untested(name, cases):
    """The documented keywords that no case gives: they have to be refused."""
    tested = keywords_tested(name, cases)
    return [k for k in keywords(found(name)) if k not in tested]


def cases_by_name():
    by_name = {}
    for chapter, _, case in all_cases():
        by_name.setdefault(case.name, []).append((chapter, case))
    return by_name


def called_from_native_code(case):
    """The ops of a case, gradient included, that the native backend leaves to NumPy."""
    drawn = Drawn(case, np.random.default_rng(0))
    places = tuple(range(len(drawn.xs)))

    def both(*xs):
        return drawn(*xs), td.grad(drawn.weighted, places)(*xs)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        program = prepare_for_loops(td.jit(both).program(*drawn.xs).final)
    roles = Roles(program, functools.partial(lower_loop, kernels=Kernels()))
    calls = [eqn.op.name for i, eqn in program.equations.items() if roles(i, eqn) is Role.NUMPY]
    return sorted({*calls} - {"item", "pack", "piece"})


def coverage_table():
    """The text of COVERAGE.md."""
    by_name = cases_by_name()
    parts = [HEAD]
    for section, text in DIFFERENTIABLE.items():
        parts.append(f"\n## {section.capitalize()}\n\n{COLUMNS}")
        here = [n for n in names(text) if found(n) is not None and found(n) not in REFUSED]
        parts += [_row(name, by_name[name]) for name in sorted(here, key=str.lower)]
    parts.append(f"\n## Without a derivative\n\n{CONSTANT_HEAD}\n")
    parts.append(", ".join(f"`{n}`" for n in sorted(names(CONSTANT)) if found(n) is not None) + ".")
    parts.append(f"\n## Refused\n\n{REFUSED_HEAD}\n\n| function | why |\n| --- | --- |")
    parts += [f"| `{n}` | {r} |" for n, r in sorted((name_of(f), r) for f, r in REFUSED.items())]
    return "\n".join(parts) + "\n"


def _row(name, chapters_and_cases):
    cases = [case for _, case in chapters_and_cases]
    (chapter, *_) = [chapter for chapter, _ in chapters_and_cases]
    optional = {*keywords(found(name))}
    tested = sorted(keywords_tested(name, cases) & optional) if optional else []
    refused = [k for k in keywords_untested(name, cases) if name.startswith("np.")]
    traced = [case for case in cases if not case.untraced]
    usual = next(filter(_is_usual, traced), traced[0] if traced else None)
    calls = called_from_native_code(usual) if usual else ["no program"]
    cells = [
        f"`{name}`",
        "1, 2" if max(case.orders for case in cases) > 1 else "1",
        ", ".join(tested),
        ", ".join(refused),
        ", ".join(calls),
        complex_of(name, cases),
        f"cases/{chapter}.py ({len(cases)})",
    ]
    return f"| {' | '.join(cells)} |"


def complex_of(name, cases):
    """Of a function that is to take them: what becomes of complex arrays."""
    if not name.startswith(TAKERS):
        return ""
    verdicts = {"right"} if name in GAUGES | UNORDERED else {verdict(name, c) for c in cases}
    if "right" in verdicts:
        return f"yes, not {REAL_PARTS[name]}" if name in REAL_PARTS else "yes"
    return "refused" if "refused" in verdicts else ""


def _is_usual(case):
    """Whether a case's arrays have axes and elements: others are left to NumPy."""
    return all(x.ndim and x.size for x in Drawn(case, np.random.default_rng(0)).xs)


HEAD = """# What can be differentiated

Made from the rows and their cases by `python -m tests.coverage --write`. For each function: the
orders of derivative that are compared with central differences; the keywords that work, each in a
case; those that are refused by name; the ops, of the function and its gradient, that the native
backend does not compile but calls as they are; whether complex arrays work, where NumPy takes them
(`complexes.py`); and where the cases stand, in `tests/`. Every case is also run in float32 and
float16, on arrays with odd strides, and as a program of `td.jit`."""
TITLES = (
    *("function", "orders", "keywords", "refused", "called from native code", "complex"),
    "tested in",
)
COLUMNS = f"| {' | '.join(TITLES)} |\n|{' --- |' * len(TITLES)}"
CONSTANT_HEAD = """Constant almost everywhere, or not about values: on a Tensor they give the plain
result that they give on its value (`cases/constant.py`)."""
REFUSED_HEAD = "On a Tensor these raise NotDifferentiableError with the reason."
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "COVERAGE.md"


def missing():
    """What is not handled, has no case, or has keywords without one, section by section."""
    by_name = cases_by_name()
    for section, text in {**DIFFERENTIABLE, "constant": CONSTANT}.items():
        absent, untested, unsaid = [], [], []
        for name in names(text):
            function = found(name)
            if function is None and name.startswith("np"):
                continue  # this NumPy lacks it
            if function is None or not (handled(function) or function in REFUSED):
                absent.append(name)
            elif name not in by_name and section != "constant" and function not in REFUSED:
                untested.append(name)
            elif section != "constant" and name.startswith("np."):
                cases = [case for _, case in by_name.get(name, [])]
                unsaid += [f"{name}({k}=)" for k in keywords_untested(name, cases)]
        print(f"{section}\n  not handled: {' '.join(absent)}\n  no case: {' '.join(untested)}")
        print(f"  keywords without a case: {' '.join(unsaid)}")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(coverage_table(), encoding="utf-8", newline="\n")
    else:
        missing()
