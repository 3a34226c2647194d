"""The programs by name, and how one is run: what the user can mend is one line."""

import sys
import warnings
from collections.abc import Sequence

import jax
import tyro

from electronics import PlausibilityWarning
from experiments import INTERRUPTED
from experiments.bench import program as bench
from experiments.headline import program as headline
from experiments.programs import ablation, bill, gain
from experiments.serving import program as serve
from experiments.serving.validate import program as accelerators
from experiments.sweeps import program as sweep
from experiments.sweeps import stored
from experiments.target import program as target
from experiments.width import program as width
from models import FetchError

PROGRAMS = {
    "headline": (headline.HeadlineOptions, headline.main),
    "accelerators": (accelerators.AcceleratorsOptions, accelerators.main),
    "attribute": (ablation.AblationOptions, ablation.main),
    "bench": (bench.BenchOptions, bench.main),
    "bill": (bill.BillOptions, bill.main),
    "gain": (gain.GainOptions, gain.main),
    "target": (target.TargetOptions, target.main),
    "width": (width.WidthOptions, width.main),
    "serve": (serve.ServeOptions, serve.main),
    "sweep": (sweep.Sweep, sweep.main),
    "show": (stored.Show, stored.show),
    "plot": (stored.Plot, stored.plot),
    "export": (stored.Export, stored.export),
}


def run(arguments: Sequence[str]) -> int:
    """Runs one program and returns its exit status; what the user can mend is one line on stderr and status 2."""
    try:
        options = tyro.extras.subcommand_cli_from_dict(
            {name: kind for name, (kind, _) in PROGRAMS.items()}, args=arguments, prog="otc"
        )
        with warnings.catch_warnings():
            _show_in_one_line(PlausibilityWarning)
            next(main for kind, main in PROGRAMS.values() if kind is type(options))(options)
    except (ValueError, OSError, OverflowError, RecursionError, MemoryError, FetchError) as error:
        return refused(error)
    except jax.errors.JaxRuntimeError as error:
        # Python that XLA calls back is interrupted as an error of XLA's own.
        if "KeyboardInterrupt" not in str(error):
            raise
        return interrupted()
    except KeyboardInterrupt:
        return interrupted()
    return 0


def refused(error: BaseException) -> int:
    """Prints an error as one line and returns its exit status."""
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"error: {text}", file=sys.stderr)
    return 2


def interrupted() -> int:
    """Says that the program was stopped, and returns the exit status of one that was."""
    print("\nstopped; the same command goes on where this one was", file=sys.stderr, flush=True)
    return INTERRUPTED


def _show_in_one_line(category: type[Warning]) -> None:
    """Within `warnings.catch_warnings`: warnings of a category as one line each, without the code that gave them."""
    usual = warnings.showwarning

    def show(message, kind, *place, **more):
        if issubclass(kind, category):
            print(f"warning: {message}", file=sys.stderr)
        else:
            usual(message, kind, *place, **more)

    warnings.showwarning = show
