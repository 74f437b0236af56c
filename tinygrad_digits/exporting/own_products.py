"""Products of matrices for object files: by plain loops, or by calls of a CBLAS.

The native backend calls BLAS by names of its own. An object file has functions of these names in
it, so that it depends on nothing, or on a CBLAS that its user links.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from ..compiler.native.products import AS_IT_IS, INT, TRANSPOSED
from ..compiler.native.terms import DOUBLE, FLOAT, INT64, declare

LETTERS = {"f": ("s", FLOAT), "d": ("d", DOUBLE)}


def define_products(module: ir.Module, *, cblas: bool) -> None:
    """Give the product functions that a module calls a body."""
    for code, (letter, number) in LETTERS.items():
        for name, write in (("gemm", _write_gemm), ("gemv", _write_gemv)):
            function = module.globals.get(f"tinygrad_digits_{name}_{code}")
            if function is None:
                continue
            function.linkage = "internal"
            builder = ir.IRBuilder(function.append_basic_block())
            if cblas:
                _call_cblas(builder, function, f"cblas_{letter}{name}")
            else:
                function.attributes.add("alwaysinline")
                for argument in function.args:
                    if argument.type == ir.PointerType():
                        argument.add_attribute("noalias")
                write(builder, function, number)
            builder.ret_void()


def _call_cblas(builder: ir.IRBuilder, function: ir.Function, name: str) -> None:
    """The same by a CBLAS, whose lengths are ints."""
    arguments = [builder.trunc(x, INT) if x.type == INT64 else x for x in function.args]
    signature = ir.FunctionType(ir.VoidType(), [x.type for x in arguments])
    builder.call(declare(function.module, name, signature), arguments)


def _write_gemm(builder: ir.IRBuilder, function: ir.Function, number: ir.Type) -> None:
    """c = a @ b, of which each may lie transposed: row by row, or as dot products."""
    _, turn_a, turn_b, m, n, k, _, a, lda, b, ldb, _, c, ldc = function.args
    one = INT64(1)
    turned = builder.icmp_signed("==", turn_a, INT(TRANSPOSED))
    down, across = builder.select(turned, one, lda), builder.select(turned, lda, one)
    plain = builder.icmp_signed("==", turn_b, INT(AS_IT_IS))
    with _loop(builder, m) as i:
        row, out = _point(builder, a, i, down, number), _point(builder, c, i, ldc, number)
        with builder.if_else(plain) as (row_by_row, dots):
            with row_by_row:
                _fill(builder, out, n, number)
                with _loop(builder, k) as p:
                    factor = builder.load(_point(builder, row, p, across, number), typ=number)
                    other = _point(builder, b, p, ldb, number)
                    _add_scaled(builder, out, factor, other, n, number)
            with dots, _loop(builder, n) as j:
                column = _point(builder, b, j, ldb, number)
                total = _dot(builder, (row, across), (column, one), k, number)
                builder.store(total, _point(builder, out, j, one, number))


def _write_gemv(builder: ir.IRBuilder, function: ir.Function, number: ir.Type) -> None:
    """y = a @ x, or for a transposed a the sum of its rows times the elements of x."""
    _, turn, rows, columns, _, a, lda, x, step, _, y, _ = function.args
    plain, one = builder.icmp_signed("==", turn, INT(AS_IT_IS)), INT64(1)
    with builder.if_else(plain) as (dots, row_by_row):
        with dots, _loop(builder, rows) as i:
            row = _point(builder, a, i, lda, number)
            total = _dot(builder, (row, one), (x, step), columns, number)
            builder.store(total, _point(builder, y, i, one, number))
        with row_by_row:
            _fill(builder, y, columns, number)
            with _loop(builder, rows) as i:
                factor = builder.load(_point(builder, x, i, step, number), typ=number)
                row = _point(builder, a, i, lda, number)
                _add_scaled(builder, y, factor, row, columns, number)


@contextmanager
def _loop(builder: ir.IRBuilder, count: Any) -> Iterator[Any]:
    """A loop that is run at least once."""
    before, body = builder.block, builder.append_basic_block()
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(INT64)
    index.add_incoming(INT64(0), before)
    yield index
    following = builder.add(index, INT64(1), flags=["nsw", "nuw"])
    index.add_incoming(following, builder.block)
    after = builder.append_basic_block()
    builder.cbranch(builder.icmp_signed("<", following, count), body, after)
    builder.position_at_end(after)


def _point(builder: ir.IRBuilder, start: Any, index: Any, step: Any, number: ir.Type) -> Any:
    offset = builder.mul(index, step, flags=["nsw"])
    return builder.gep(start, [offset], source_etype=number)


def _fill(builder: ir.IRBuilder, out: Any, count: Any, number: ir.Type) -> None:
    """Zeros."""
    with _loop(builder, count) as j:
        builder.store(number(0.0), _point(builder, out, j, INT64(1), number))


def _add_scaled(
    builder: ir.IRBuilder, out: Any, factor: Any, x: Any, count: Any, number: ir.Type
) -> None:
    """out += factor * x."""
    with _loop(builder, count) as j:
        place = _point(builder, out, j, INT64(1), number)
        element = builder.load(_point(builder, x, j, INT64(1), number), typ=number)
        product = builder.fmul(factor, element, flags=["contract"])
        builder.store(
            builder.fadd(builder.load(place, typ=number), product, flags=["contract"]), place
        )


def _dot(
    builder: ir.IRBuilder, x: tuple[Any, Any], y: tuple[Any, Any], count: Any, number: ir.Type
) -> Any:
    """The sum of products, in an order that suits the processor."""
    flags = ["contract", "reassoc"]
    before = builder.block
    with _loop(builder, count) as p:
        total = builder.phi(number)
        total.add_incoming(number(0.0), before)
        first, second = (
            builder.load(_point(builder, start, p, step, number), typ=number)
            for start, step in (x, y)
        )
        product = builder.fmul(first, second, flags=flags)
        grown = builder.fadd(total, product, flags=flags)
        total.add_incoming(grown, builder.block)
    return grown
