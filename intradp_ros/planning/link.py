"""
The link as the device sees it, from its own sends and the edge's acknowledgements.

No probe traffic, no synchronised clocks: every time is read from the device's clock. All times are
seconds, all sizes bytes.
"""

import statistics
from collections import deque
from dataclasses import dataclass


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
        if not self._transfers:
            return LinkEstimate()
        goodputs = [g for t in self._transfers if (g := t.goodput())]
        round_trip = min(t.round_trip() for t in self._transfers)
        costs = [s.end - s.begin for t in self._transfers for s in t.sent]
        span = sum(t.sent[-1].end - t.sent[0].begin for t in self._transfers)
        last = self._transfers[-1]
        return LinkEstimate(
            goodput=statistics.median(goodputs) if goodputs else 0.0,
            round_trip=round_trip if round_trip < float('inf') else 0.0,
            message_cost=statistics.median(costs),
            loss=statistics.fmean(t.loss() for t in self._transfers),
            blocked=min(1.0, sum(costs) / span) if span > 0 else 0.0,
            frame_bytes=sum(s.size for s in last.sent), frame_messages=len(last.sent))
