"""The program in a process of its own, for tests of Ctrl-C and of being killed."""

import subprocess
import sys
from contextlib import contextmanager

INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
{before}
from tinygrad_digits.__main__ import main
main()
"""


@contextmanager
def program(*arguments, before="", **options):
    """`tinygrad-digits`, its output piped; Ctrl-C ends it even where the tests' own parent is deaf.

    It is killed when the block fails. `before` is code that it runs first.
    """
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", INTERRUPTIBLE.format(before=before), *map(str, arguments)]
    with subprocess.Popen(command, **{**piped, **options}) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
