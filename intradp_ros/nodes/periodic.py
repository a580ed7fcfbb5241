"""
Calls at intervals, from a thread of their own.

A timer wakes rclpy's executor, which then looks at everything that a node has: 1.4 ms of
processor time for a device node, where the call takes 0.03 (by hand, on a free core). On a quarter
of a core seven calls a second are what a frame may have to wait for.
"""

import threading
import time
from collections.abc import Callable

Call = Callable[[], None]


class Periodic:
    """
    Makes each call at its interval (seconds) until it is closed, one at a time; those that were
    missed are not made up for.

    :param failed: told of an exception of a call, which is made again all the same.
    """

    def __init__(self, calls: dict[Call, float], failed: Callable[[Exception], None]):
        self._calls = calls
        self._failed = failed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name='periodic', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; no call is made any more."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        begin = time.monotonic()
        due = {call: begin + interval for call, interval in self._calls.items()}
        while not self._ended.wait(max(0.0, min(due.values()) - time.monotonic())):
            now = time.monotonic()
            for call in [call for call, then in due.items() if then <= now]:
                due[call] = max(due[call] + self._calls[call], now)
                try:
                    call()
                except Exception as error:  # one call must never end the thread
                    self._failed(error)
