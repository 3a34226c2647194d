"""`python -m experiments NAME [options]`; `python -m experiments NAME --help` lists the options."""

import os
import sys
from collections.abc import Sequence

import tyro

from experiments import accelerators, attribute, bench, bill, gain, headline, runs, serve, sweep, target, width
from models import FetchError

INTERRUPTED = 130
PROGRAMS = {
    "headline": (headline.Headline, headline.main),
    "accelerators": (accelerators.Accelerators, accelerators.main),
    "attribute": (attribute.Attribute, attribute.main),
    "bench": (bench.Bench, bench.main),
    "bill": (bill.Bill, bill.main),
    "gain": (gain.Gain, gain.main),
    "target": (target.Target, target.main),
    "width": (width.Width, width.main),
    "serve": (serve.Serve, serve.main),
    "sweep": (sweep.Sweep, sweep.main),
    "show": (runs.Show, runs.show),
    "plot": (runs.Plot, runs.plot),
    "export": (runs.Export, runs.export),
}


def run(arguments: Sequence[str]) -> int:
    """Runs one program; what the user can mend is one line on stderr and exit status 2."""
    try:
        options = tyro.extras.subcommand_cli_from_dict(
            {name: kind for name, (kind, _) in PROGRAMS.items()}, args=arguments, prog="python -m experiments"
        )
        next(main for kind, main in PROGRAMS.values() if kind is type(options))(options)
    except (ValueError, OSError, FetchError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where this one was", file=sys.stderr, flush=True)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    status = run(sys.argv[1:])
    if status == INTERRUPTED:
        # XLA may still be computing in its own threads, and crashes if the interpreter is taken down under it.
        os._exit(status)
    sys.exit(status)
