"""`otc NAME [options]`, or `python -m experiments NAME [options]`; `otc NAME --help` lists the options.

Only fast imports stand here, so that Ctrl-C ends the program with one line also while the programs load.
"""

import os
import signal
import sys
import threading
from types import FrameType

from experiments import INTERRUPTED

# Python swallows an exception in a hook of the garbage collector, such as JAX's, so the interruption is sent again.
_AGAIN_AFTER_SECONDS = 0.05
_OURS = ("electronics", "optics", "models", "experiments")
_stopped = threading.Event()
_loaded = threading.Event()


def main() -> int:
    """Run the program that the command line names and return its exit status."""
    # Interruptions that are ignored, as under nohup, stay ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
        sys.unraisablehook = _send_again
    try:
        from experiments.commands import run

        _loaded.set()
        status = run(sys.argv[1:])
    except ModuleNotFoundError as error:
        if _loaded.is_set() or (error.name or "").partition(".")[0] in _OURS:
            raise
        print(f"error: otc needs {error.name}: pip install 'optical-tensor-core[experiments]'", file=sys.stderr)
        status = 2
    except BaseException:
        # A module that is interrupted while it loads may raise any error.
        if not _stopped.is_set():
            raise
        print("\nstopped", file=sys.stderr)
        status = INTERRUPTED
    if status == INTERRUPTED:
        # XLA may still be computing in its own threads, and crashes if the interpreter is finalised meanwhile.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _stop(number: int, frame: FrameType | None) -> None:
    if not _loaded.is_set():
        # An exception inside the C code of a module that loads may be printed there or crash the interpreter.
        os.write(2, b"\nstopped\n")
        os._exit(INTERRUPTED)
    _stopped.set()
    raise KeyboardInterrupt


def _send_again(swallowed: "sys.UnraisableHookArgs") -> None:
    if not issubclass(swallowed.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(swallowed)
        return
    timer = threading.Timer(_AGAIN_AFTER_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(main())
