"""The programs by name, and running one of them: errors that the user can correct are printed as one line."""

import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TextIO, get_type_hints

import jax
import tyro

from electronics import PlausibilityWarning
from experiments import INTERRUPTED
from experiments.adapt import program as adapt
from experiments.bench import program as bench
from experiments.comparison import program as compare
from experiments.compiled import keep_compiled_programs
from experiments.drift import program as drift
from experiments.generate import program as generate
from experiments.headline import program as headline
from experiments.programs import ablation, bill, embed, gain, prefill, random_checkpoint
from experiments.results import program as results
from experiments.scaling import program as scaling
from experiments.serving import program as serve
from experiments.serving.validate import program as accelerators
from experiments.sweeps import program as sweep
from experiments.sweeps import result_programs
from experiments.target import program as target
from experiments.training import program as train
from experiments.training.run.start import NoisySiteWarning
from experiments.verdict import program as verdict
from experiments.verdict import reprice
from experiments.width import program as width
from experiments.workloads import program as workloads
from models import FetchError

Main = Callable[[Any], Any]


def _with_options(main: Main) -> tuple[type, Main]:
    """(class of the options, which is that of the one parameter of `main`; `main`)."""
    (options,) = (kind for name, kind in get_type_hints(main).items() if name != "return")
    return options, main


PROGRAMS: dict[str, tuple[type, Main]] = {
    "headline": _with_options(headline.main),
    "accelerators": _with_options(accelerators.main),
    "ablation": _with_options(ablation.main),
    "adapt": _with_options(adapt.main),
    "bench": _with_options(bench.main),
    "bill": _with_options(bill.main),
    "compare": _with_options(compare.main),
    "drift": _with_options(drift.main),
    "embed": _with_options(embed.main),
    "generate": _with_options(generate.main),
    "gain": _with_options(gain.main),
    "prefill": _with_options(prefill.main),
    "random-checkpoint": _with_options(random_checkpoint.main),
    "scaling": _with_options(scaling.main),
    "target": _with_options(target.main),
    "train": _with_options(train.main),
    "verdict": _with_options(verdict.main),
    "reprice": _with_options(reprice.main),
    "width": _with_options(width.main),
    "workloads": _with_options(workloads.main),
    "results": _with_options(results.main),
    "serve": _with_options(serve.main),
    "sweep": _with_options(sweep.main),
    "show": _with_options(result_programs.show),
    "plot": _with_options(result_programs.plot),
    "export": _with_options(result_programs.export),
}
_REFUSAL = re.compile(r"^(?:ValueError|OSError): (.+)$", re.MULTILINE)
RENAMED = {"attribute": "ablation"}


def run(arguments: Sequence[str]) -> int:
    """Run one program and return its exit status.

    An error that the user can correct is printed on stderr as one line, and the status is 2.
    """
    try:
        options = tyro.extras.subcommand_cli_from_dict(
            {name: kind for name, (kind, _) in PROGRAMS.items()}, args=_renamed(arguments), prog="otc"
        )
        keep_compiled_programs()
        with warnings.catch_warnings():
            _show_in_one_line((PlausibilityWarning, NoisySiteWarning))
            next(main for kind, main in PROGRAMS.values() if kind is type(options))(options)
    except (ValueError, OSError, OverflowError, RecursionError, MemoryError, FetchError) as error:
        return refuse(error)
    except jax.errors.JaxRuntimeError as error:
        # XLA wraps an exception of a Python callback, such as the reader of a streamed model, in an error of its own.
        if "KeyboardInterrupt" in str(error):
            return interrupt()
        if refusal := _REFUSAL.search(str(error)):
            return refuse(ValueError(refusal[1]))
        raise
    except KeyboardInterrupt as error:
        return interrupt(str(error))
    return 0


def refuse(error: BaseException) -> int:
    """Print an error as one line and return its exit status."""
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"error: {text}", file=sys.stderr)
    return 2


def interrupt(message: str = "") -> int:
    """Print that the program was stopped, in its own words if it has some, and return the exit status of that."""
    print(f"\n{message or 'stopped; the same command goes on where this one was'}", file=sys.stderr, flush=True)
    return INTERRUPTED


def _renamed(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments with the present name of the program, after a warning where the former one was given."""
    if not arguments or arguments[0] not in RENAMED:
        return arguments
    name = RENAMED[arguments[0]]
    print(f"warning: otc {arguments[0]} is now otc {name}", file=sys.stderr)
    return [name, *arguments[1:]]


def _show_in_one_line(categories: tuple[type[Warning], ...]) -> None:
    """Print warnings of some kinds as one line each, without their source line, within `warnings.catch_warnings`."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        kind: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(kind, categories):
            print(f"warning: {message}", file=sys.stderr)
        else:
            usual(message, kind, filename, lineno, file, line)

    warnings.showwarning = show
