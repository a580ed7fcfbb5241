"""The sender thread: hands tiles to the middleware, which may block, while others compute."""

import threading
from collections import deque
from collections.abc import Callable

from intradp_ros.runtime.job import Job
from intradp_ros.runtime.wire import Tile


class Sender:
    """
    Publishes tiles, urgent ones first, and drops those of frames that have ended.

    :param publish: hands one tile to the middleware; may block.
    :param on_error: told of an exception of `publish`; the tile counts as lost.
    """

    def __init__(self, publish: Callable[[Tile], None], clock: Callable[[], float],
                 on_error: Callable[[Exception], None]):
        self._publish = publish
        self._clock = clock
        self._on_error = on_error
        self._urgent: deque[tuple[Job, Tile]] = deque()
        self._waiting: deque[tuple[Job, Tile]] = deque()
        self._closed = False
        self._filled = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='sender', daemon=True)
        self._thread.start()

    def put(self, job: Job, tile: Tile, urgent: bool) -> None:
        """Queue a tile; never blocks."""
        with self._filled:
            (self._urgent if urgent else self._waiting).append((job, tile))
            self._filled.notify()

    def close(self) -> None:
        """End the thread; tiles that wait are not sent."""
        with self._filled:
            self._closed = True
            self._filled.notify()
        self._thread.join()

    def _next(self) -> tuple[Job, Tile] | None:
        with self._filled:
            self._filled.wait_for(lambda: self._closed or self._urgent or self._waiting)
            return None if self._closed else (self._urgent or self._waiting).popleft()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            job, tile = item
            if job.ended.is_set():
                continue
            begin = self._clock()
            try:
                self._publish(tile)
            except Exception as error:  # the middleware's own errors have no common base
                self._on_error(error)
            else:
                job.transfer.on_sent(begin, self._clock(), len(tile.data))
