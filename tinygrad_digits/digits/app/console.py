"""What the program says and where, and how it ends.

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 misused, 130 interrupted.
"""

from __future__ import annotations

import functools
import json
import re
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ...support.errors import AutodiffError
from ..extras import extra
from ..model.evaluation import Evaluation

with extra():
    import typer
    from rich.console import Console
    from typer.core import TyperGroup

from . import display

VOICE = (
    (r"(?:.* is not|Input should be) a valid integer.*", "a whole number"),
    (r"(?:.* is not|Input should be) a valid (?:float|number).*", "a number"),
    (r"Input should be greater than or equal to (.*)", r"\1 or more"),
    (r"Input should be less than or equal to (.*)", r"\1 or less"),
    (r".* is not in the range (.*)", r"\1"),
    (r"(?:Value error, )?.* is not one of (.*)", r"one of \1"),
    (r".* '(.*)' is a file", r"a folder, not the file \1"),
)
"""What Typer's versions say of a value, and what an option takes."""
MISCOUNTED = (
    (r"Option '(.*)' requires an argument", r"\1 takes a value"),
    (r"Option '(.*)' does not take a value", r"\1 takes no value"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", r"there is more than it takes: \1"),
)
"""The same of options without a value and of arguments without a place."""
F = TypeVar("F", bound=Callable[..., Any])

FAILED, MISUSED = 1, 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
ClickException: type[Exception] = typer.BadParameter.__mro__[2]
"""Of Click, which is under another name in each version of Typer."""
out = Console()
err = Console(stderr=True)


class CommandGroup(TyperGroup):
    """The commands; what is wrong with how they are called is said as all else that is wrong is."""

    def main(self, args: Any = None, *, standalone_mode: bool = True, **options: Any) -> Any:  # type: ignore[override]
        """Run a command and exit, or return what it returns."""
        try:
            code = super().main(args, standalone_mode=False, **options)
        except ClickException as error:
            code = _show_misuse(error, self._find_command(args))
        except typer.Abort:
            err.print("interrupted")
            code = INTERRUPTED
        if standalone_mode:
            sys.exit(code)
        return code

    def _find_command(self, args: Any) -> str:
        """What was called, for mistakes that Click makes before it knows."""
        words = sys.argv[1:] if args is None else args
        named = next((word for word in words if word in self.commands), "")
        return f"tinygrad-digits {named}".rstrip()


def _show_misuse(error: Any, called: str) -> int:
    """One line on stderr, or the help where nothing at all was asked for: -> the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return MISUSED
    path = error.ctx.command_path if getattr(error, "ctx", None) else called
    show_error(f"{describe_misuse(error)}; {path} --help tells more")
    return MISUSED


def describe_misuse(error: Any) -> str:
    """What is wrong with the words of a command line, by the exception that Click has for it.

    >>> describe_misuse(typer.BadParameter("--hidden takes widths"))
    '--hidden takes widths'
    """
    kind, said = type(error).__name__, str(error.message or "").rstrip(".")
    if kind == "NoSuchOption":
        alike = f", but {' or '.join(error.possibilities)}" if error.possibilities else ""
        return f"there is no option {error.option_name}{alike}"
    if said.startswith("No such command"):
        return f"there is no command {said.partition(' ')[2].partition('command ')[2]}"
    for theirs, ours in MISCOUNTED:
        if found := re.fullmatch(theirs, said):
            return found.expand(ours)
    named = _name_parameter(error)
    if kind == "MissingParameter":
        return f"{named} is missing{_tell_arguments(error)}"
    for theirs, ours in VOICE:
        if found := re.fullmatch(theirs, said, re.DOTALL):
            return f"{named} takes {found.expand(ours).replace(chr(39), '')}{_tell_input(error)}"
    return f"{named}: {said}" if named else said


def _tell_arguments(error: Any) -> str:
    """Which the command takes, where there are several: the first given may be meant as another."""
    taken = error.ctx.command.params if error.ctx else []
    names = [str(one.metavar) for one in taken if one.param_type_name == "argument"]
    return f": it takes {' '.join(names)}" if len(names) > 1 else ""


def _tell_input(error: Any) -> str:
    """What was given instead, where the library keeps it."""
    given = [one.get("input") for one in getattr(error.__cause__, "errors", list)()]
    return f", not {given[0]!r}" if given else ""


def _name_parameter(error: Any) -> str:
    """Of which option or argument an error is; "" for none in particular."""
    param = getattr(error, "param", None)
    if param is None:
        return ""
    if param.param_type_name == "option":
        return str(param.opts[0])
    return str(param.metavar or param.name.upper())


@contextmanager
def refuse_misuse() -> Iterator[None]:
    """Have a ValueError in the block mean that the command was misused."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def guard(command: F) -> F:
    """Turn what can go wrong into one line on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except KeyboardInterrupt:
            err.print("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except (AutodiffError, ValueError, ArithmeticError, OSError, MemoryError) as error:
            show_error(describe_failure(error))
            raise typer.Exit(FAILED) from error

    return run  # type: ignore[return-value]


def describe_failure(error: Exception) -> str:
    """What an exception says; of one that the system has for a file, without its number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def show_error(text: str) -> None:
    """What went wrong: a line on stderr."""
    err.print(f"error: {text}", style="red", markup=False, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line for people and for grep: no colours, no wrapping."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def note(text: str, as_json: bool = True) -> None:
    """A line for people, out of the way of JSON or of a table."""
    (err if as_json else out).print(text, markup=False, highlight=False, soft_wrap=True)


def open_browser(address: str) -> None:
    """Open a page in a thread of its own, as a browser for terminals would not return."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def print_json(content: Any) -> None:
    """For scripts."""
    typer.echo(json.dumps(content, indent=2, allow_nan=False))


def show_evaluation(found: Evaluation, remark: str = "", title: str | None = None) -> None:
    """A table of the classes, and the accuracy."""
    out.print(display.tabulate_evaluation(found, title))
    say(f"test accuracy: {found.accuracy:.2%}{remark}")
