"""What a call leaves to the garbage collector."""

import gc
import pathlib

import tinygrad_digits

PACKAGE = str(pathlib.Path(tinygrad_digits.__file__).parent)


def cycles_left(call):
    """The objects of the package that are unreachable after the call, but not freed by it.

    Only those: threads of other libraries in the same process make garbage of their own.
    """
    call()  # once before, for what is kept on purpose
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)  # what is collected is listed
    try:
        call()
        gc.collect()
        return [x for x in gc.garbage if _is_ours(x)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _is_ours(x):
    """Whether x is of a type of the package, or a function that it has made."""
    code = getattr(x, "__code__", None)
    return type(x).__module__.startswith("tinygrad_digits") or (
        code is not None and code.co_filename.startswith(PACKAGE)
    )
