"""python -m tinygrad_digits: the digits program."""

import sys

from .support.errors import MissingExtraError


def main() -> None:
    """Run the command line; without its extra, say what to install and exit with 1."""
    try:
        from .digits.app.cli import app
    except MissingExtraError as error:
        sys.exit(f"tinygrad-digits: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    app(prog_name="tinygrad-digits")


if __name__ == "__main__":
    main()
