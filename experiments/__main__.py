"""`python -m experiments NAME [options]`; `python -m experiments NAME --help` lists the options."""

import sys
from collections.abc import Sequence

import tyro

from experiments import headline
from models import FetchError

PROGRAMS = {"headline": (headline.Headline, headline.main)}


def run(arguments: Sequence[str]) -> int:
    """Runs one program; what the user can mend is one line on stderr and exit status 2."""
    try:
        options = tyro.extras.subcommand_cli_from_dict(
            {name: kind for name, (kind, _) in PROGRAMS.items()}, args=arguments, prog="python -m experiments"
        )
        next(main for kind, main in PROGRAMS.values() if kind is type(options))(options)
    except (ValueError, FileNotFoundError, FetchError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on where this one was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
