"""`otc NAME [options]`, or `python -m experiments NAME [options]`; `otc NAME --help` lists the options.

Nothing is imported here that takes long, so that Ctrl-C ends the program with one line also while it still loads.
"""

import os
import signal
import sys
import threading

from experiments import INTERRUPTED

# Where Python swallows an interruption, as in the hooks that JAX hangs on the garbage collector, it is sent again.
_AGAIN_AFTER_SECONDS = 0.05
_OURS = ("electronics", "optics", "models", "experiments")
_stopped = threading.Event()
_loaded = threading.Event()


def main() -> int:
    """Runs the program that the command line names and returns its exit status."""
    # Where interruptions are ignored, as behind nohup, they stay so.
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
        # A module that is interrupted while it loads may say anything.
        if not _stopped.is_set():
            raise
        print("\nstopped", file=sys.stderr)
        status = INTERRUPTED
    if status == INTERRUPTED:
        # XLA may still be computing in its own threads, and crashes if the interpreter is taken down under it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _stop(number, frame) -> None:
    if not _loaded.is_set():
        # An exception inside C code of a module that loads is printed there, or brings the interpreter down.
        os.write(2, b"\nstopped\n")
        os._exit(INTERRUPTED)
    _stopped.set()
    raise KeyboardInterrupt


def _send_again(swallowed) -> None:
    if not issubclass(swallowed.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(swallowed)
        return
    timer = threading.Timer(_AGAIN_AFTER_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(main())
