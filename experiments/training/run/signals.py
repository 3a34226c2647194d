"""Ctrl-C while a run is in the middle of a step."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interruption:
    """Notes the first Ctrl-C within the block, so that a step ends and is saved; the second one stops at once.

    The buffers of a step are given away to the next, so an exception in between would leave no state to save. Outside
    of the main thread, and where interruptions are ignored, nothing changes.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: Callable[[int, FrameType | None], Any] | None = None

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before):
                self._before = before
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *raised: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.wanted and self._before is not None:
            self._before(number, frame)
        self.wanted = True
        # A buffered stream must not be written to by a handler, which may have interrupted its writing.
        os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")
