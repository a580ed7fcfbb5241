"""The sender thread: hands tiles to the middleware, which may block, while others compute."""

import queue
import threading
from collections.abc import Callable

from intradp_ros.runtime.job import Job
from intradp_ros.runtime.wire import Tile


class Sender:
    """
    Publishes tiles in the order they come, one thread, and drops those of frames that have ended.

    :param publish: hands one tile to the middleware; may block.
    :param on_error: told of an exception of `publish`; the tile counts as lost.
    """

    def __init__(self, publish: Callable[[Tile], None], clock: Callable[[], float],
                 on_error: Callable[[Exception], None]):
        self._publish = publish
        self._clock = clock
        self._on_error = on_error
        self._closed = False
        self._queue: queue.SimpleQueue[tuple[Job, Tile] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name='sender', daemon=True)
        self._thread.start()

    def put(self, job: Job, tile: Tile) -> None:
        """Queue a tile; never blocks."""
        self._queue.put((job, tile))

    def close(self) -> None:
        """End the thread; tiles that wait are not sent."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None and not self._closed:
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
