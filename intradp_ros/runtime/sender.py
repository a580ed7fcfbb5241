"""
The sender thread: hands tiles to the middleware, which may block, while others compute.

What may go, and when, is decided by `Flow`. What goes is asked for only when it may: raw rows that
nobody has begun to send can still become the device's.
"""

import threading
from collections.abc import Callable, Sequence

from intradp_ros.runtime.flow import Flow, Message
from intradp_ros.runtime.goodput import FrameTransfer
from intradp_ros.runtime.job import Job
from intradp_ros.runtime.wire import Ack, Tile

# Gives the next tiles of a frame and whether they are urgent; None when there are none now.
Supply = Callable[[], tuple[Sequence[Tile], bool] | None]


class Sender:
    """
    Publishes the tiles of one frame at a time; a new frame never queues behind an old one.

    :param publish: hands one tile to the middleware; may block.
    :param on_error: told of an exception of `publish` or of a supply; the tile counts as lost.
    """

    def __init__(self, publish: Callable[[Tile], None], clock: Callable[[], float],
                 on_error: Callable[[Exception], None]):
        self.flow = Flow()
        self._publish = publish
        self._clock = clock
        self._on_error = on_error
        self._job: Job | None = None
        self._supply: Supply | None = None
        self._dry = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='sender', daemon=True)
        self._thread.start()

    def begin(self, job: Job, supply: Supply, message_bytes: int, window_bytes: int,
              reliable: bool) -> None:
        """Send a frame from now on; what is left of the one before is not sent any more."""
        with self._changed:
            flow = self.flow
            flow.message_bytes, flow.window_bytes = message_bytes, window_bytes
            flow.reliable = reliable
            flow.begin(job.transfer, job.camera.arrival + job.report.deadline_ms / 1e3)
            self._job, self._supply, self._dry = job, supply, False
            self._changed.notify()

    def wake(self) -> None:
        """Say that the supply may have something now."""
        with self._changed:
            self._dry = False
            self._changed.notify()

    def on_ack(self, ack: Ack) -> None:
        """Take an acknowledgement; one of an older frame only shows that the link is alive."""
        with self._changed:
            if self._job is not None and ack.frame == self._job.number:
                self.flow.on_ack(ack, self._clock())
            else:
                self.flow.heard()
            # With all sent, and no more to come before `wake`, an acknowledgement opens the way
            # for nothing: each time that the thread wakes up takes a slow robot's time.
            if self.flow.waiting or not self._dry:
                self._changed.notify()

    def bytes_left(self) -> int:
        """Give the bytes of the frame that were put and that nobody has acknowledged."""
        with self._changed:
            return self.flow.bytes_left

    def end(self, job: Job) -> bool:
        """Stop sending a frame; say whether the edge has been silent for suspiciously long."""
        with self._changed:
            if self._job is job:
                self._job = self._supply = None
                self.flow.begin(FrameTransfer(), 0.0)
            return self.flow.silent(self._clock())

    def close(self) -> None:
        """End the thread; tiles that wait are not sent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _next(self) -> tuple[Job, Message | Supply] | None:
        """Wait for a message to publish or for the moment to ask for more; None at the end."""
        with self._changed:
            while not self._closed:
                wait = None
                if self._job is not None and not self._job.changed.is_set():
                    now = self._clock()
                    message, wait = self.flow.next(now)
                    if message is not None:
                        return self._job, message
                    if self._supply is not None and not self._dry and self.flow.wants_more(now):
                        return self._job, self._supply
                # Of a link that carries next to nothing one may be due after centuries.
                self._changed.wait(wait and min(wait, threading.TIMEOUT_MAX))
            return None

    def _run(self) -> None:
        while (found := self._next()) is not None:
            job, item = found
            try:
                if isinstance(item, Message):
                    self._send(job, item)
                else:
                    self._ask(job, item)
            except Exception as error:  # the middleware's own errors have no common base
                self._on_error(error)

    def _send(self, job: Job, message: Message) -> None:
        begin = self._clock()
        self._publish(message.tile)
        end = self._clock()
        job.transfer.on_sent(begin, end, message.size)
        with self._changed:
            self.flow.on_taken(message, end)

    def _ask(self, job: Job, supply: Supply) -> None:
        """Encode what comes next: without the lock, acknowledgements must not wait for it."""
        with self._changed:
            # Whatever is supplied from here on wakes the sender again.
            self._dry = True
        found = supply()
        with self._changed:
            if found is not None and self._job is job:
                self.flow.put(*found)
                self._dry = False
