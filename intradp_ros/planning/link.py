"""
The link: what a plan assumes of it, and what the device sees of it.

`Link` is a model for plans. The estimate comes from the device's own sends and the edge's
acknowledgements: no probe traffic, no synchronised clocks, every time is read from the device's
clock. All times are seconds, all sizes bytes.
"""

import statistics
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from intradp_ros.errors import ParameterError


@dataclass(frozen=True)
class Link:
    """
    A link of `bandwidth` bytes a second each way, full duplex.

    `down` is the bandwidth back where it differs. A message (at most `message_bytes`) costs
    `message_seconds` of the sending side, and what is sent arrives `round_trip` / 2 later.
    `overhead` multiplies all bytes (headers). `steps`, where given, replace `bandwidth` by a
    trace: (time, bytes a second) pairs in ascending order, each holding until the next, the last
    for ever.
    """

    bandwidth: float
    round_trip: float = 0.0
    message_seconds: float = 0.0
    message_bytes: int = 60_000
    overhead: float = 1.0
    down: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()

    def __post_init__(self):
        if self.bandwidth <= 0 and not self.steps:
            raise ParameterError(f'bandwidth has to be above 0 bytes/s, got {self.bandwidth}')

    def arrival(self, begin: float, size: float, upward: bool = True) -> float:
        """
        Time at which the last of `size` bytes has left a sender that begins at `begin`.

        :returns: infinity when a trace ends in silence.
        """
        messages = -(-size // self.message_bytes) if size > 0 else 0
        begin += messages * self.message_seconds
        left = size * self.overhead
        if not self.steps:
            return begin + left / (self.bandwidth if upward else self.down or self.bandwidth)
        if left <= 0:
            return begin
        at = bisect_right(self.steps, (begin, float('inf'))) - 1
        while True:
            rate = self.steps[max(at, 0)][1]
            until = self.steps[at + 1][0] if at + 1 < len(self.steps) else float('inf')
            if rate > 0 and begin + left / rate <= until:
                return begin + left / rate
            if until == float('inf'):
                return until
            left -= rate * (until - begin)
            begin, at = until, at + 1


@dataclass(frozen=True)
class LinkEstimate:
    """
    Figures of the last frames; 0 where nothing is known yet (see LinkState.msg for the
    meaning).
    """

    goodput: float = 0.0
    round_trip: float = 0.0
    message_cost: float = 0.0
    loss: float = 0.0
    blocked: float = 0.0
    frame_bytes: int = 0
    frame_messages: int = 0


@dataclass(frozen=True)
class Sent:
    """
    One message that was handed to the middleware: when, how large, and how long publish()
    took.
    """

    begin: float
    end: float
    size: int


class FrameTransfer:
    """The sends and acknowledgements of one frame."""

    def __init__(self):
        self.sent: list[Sent] = []
        self.acked: list[tuple[float, int, int]] = []  # time, messages, bytes

    def on_sent(self, begin: float, end: float, size: int) -> None:
        """Note one message."""
        self.sent.append(Sent(begin, end, size))

    def on_ack(self, now: float, messages: int, size: int) -> None:
        """Note an acknowledgement that `messages` messages, `size` bytes in all, have arrived."""
        if not self.acked or size > self.acked[-1][2]:
            self.acked.append((now, messages, size))

    def goodput(self) -> float:
        """
        Acknowledged bytes a second from the first send to the last acknowledgement; 0 without one.

        Counting from the first send charges the round trip to the transfer: on short frames this
        errs low, which makes tiles larger, the harmless side.
        """
        if not self.acked or not self.sent:
            return 0.0
        time, _, size = self.acked[-1]
        return size / max(time - self.sent[0].begin, 1e-6)

    def round_trip(self) -> float:
        """Least time from a send to the acknowledgement that covers it; infinite without one."""
        return min((time - self.sent[min(messages, len(self.sent)) - 1].begin
                    for time, messages, _ in self.acked if messages and self.sent),
                   default=float('inf'))

    def loss(self) -> float:
        """Share of the messages that were never acknowledged."""
        arrived = self.acked[-1][1] if self.acked else 0
        return max(0.0, 1 - arrived / len(self.sent)) if self.sent else 0.0


class LinkEstimator:
    """
    Medians over the last frames: one slow frame does not move them, a changed link soon does.
    """

    def __init__(self, frames: int = 10):
        self._transfers: deque[FrameTransfer] = deque(maxlen=frames)

    def on_frame_end(self, transfer: FrameTransfer) -> None:
        """Take the figures of a frame that has ended, however it ended."""
        if transfer.sent:
            self._transfers.append(transfer)

    def estimate(self) -> LinkEstimate:
        """Give the figures of the last frames."""
        transfers = tuple(self._transfers)  # frames end on another thread
        if not transfers:
            return LinkEstimate()
        goodputs = [g for t in transfers if (g := t.goodput())]
        round_trip = min(t.round_trip() for t in transfers)
        costs = [s.end - s.begin for t in transfers for s in t.sent]
        span = sum(t.sent[-1].end - t.sent[0].begin for t in transfers)
        last = transfers[-1]
        return LinkEstimate(
            goodput=statistics.median(goodputs) if goodputs else 0.0,
            round_trip=round_trip if round_trip < float('inf') else 0.0,
            message_cost=statistics.median(costs),
            loss=statistics.fmean(t.loss() for t in transfers),
            blocked=min(1.0, sum(costs) / span) if span > 0 else 0.0,
            frame_bytes=sum(s.size for s in last.sent), frame_messages=len(last.sent))
