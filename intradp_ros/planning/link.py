"""
The link: what a plan assumes of it, and the figures of a real one (`runtime.goodput` has them).

Times are seconds, sizes bytes.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace

from intradp_ros.errors import ParameterError

# Bytes of a message on a link that is not known, is slow or loses some; and seconds that a message
# may take of any other. Each message costs both sides about the same processor time, whatever its
# size, and whoever waits for it waits for all of it.
CAUTIOUS_MESSAGE, MESSAGE_SECONDS = 60_000, 0.02


@dataclass(frozen=True)
class Link:
    """
    A link of `bandwidth` bytes a second each way, full duplex.

    `down` is the bandwidth back where it differs. A message (at most `message_bytes`) takes the
    sending side `message_seconds` to hand over, one after the other, while the one before it is on
    its way; what is sent arrives `round_trip` / 2 later.
    `message_compute` is by how much a message delays the device's inference, where there is but
    one core for both, and `message_idle` what it takes of that core otherwise (see `Profile`).
    `overhead` multiplies all bytes (headers). `steps`, where given, replace `bandwidth` by a
    trace: (time, bytes a second) pairs in ascending order, each holding until the next, the last
    for ever.
    """

    bandwidth: float
    round_trip: float = 0.0
    message_seconds: float = 0.0
    message_bytes: int = CAUTIOUS_MESSAGE
    overhead: float = 1.0
    down: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()
    message_compute: float = 0.0
    message_idle: float = 0.0

    def __post_init__(self):
        if self.bandwidth <= 0 and not self.steps:
            raise ParameterError(f'bandwidth has to be above 0 bytes/s, got {self.bandwidth}')

    def arrival(self, begin: float, size: float, upward: bool = True,
                handed: float | None = None) -> float:
        """
        Time at which the last of `size` bytes has left a link that is free from `begin` on.

        :param handed: when the sending side begins to hand them over; None for `begin`.
        :returns: infinity when a trace ends in silence.
        """
        count = self.messages(size)
        if not count:
            return begin
        bytes_sent = size * self.overhead
        first = (begin if handed is None else handed) + self.message_seconds
        end = self._carried(max(begin, first), bytes_sent, upward)
        if count == 1 or not self.message_seconds:
            return end
        # Whoever hands over more slowly than the link carries is waited for.
        last = first + (count - 1) * self.message_seconds
        return max(end, self._carried(last, bytes_sent / count, upward))

    def _carried(self, begin: float, left: float, upward: bool) -> float:
        """Time at which so many bytes have left that are there from `begin` on."""
        if not self.steps:
            return begin + left / (self.bandwidth if upward else self.down or self.bandwidth)
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

    def faster(self, factor: float) -> 'Link':
        """Give what this link is to whom time passes so many times more slowly."""
        return replace(self, bandwidth=self.bandwidth * factor, down=self.down * factor,
                       steps=tuple((t / factor, rate * factor) for t, rate in self.steps),
                       **{name: getattr(self, name) / factor for name in (
                           'round_trip', 'message_seconds', 'message_compute', 'message_idle')})

    def messages(self, size: float) -> float:
        """Say in how many messages so many bytes travel."""
        return -(-size // self.message_bytes)

    def handing(self, size: float) -> float:
        """Give the seconds that it takes the sending side to hand over so many bytes."""
        return self.messages(size) * self.message_seconds

    @property
    def per_byte(self) -> float:
        """
        Seconds that a byte adds to a long transfer: of the link, or of whoever hands over where
        that takes longer. A link with a trace is taken to stay as it is at the beginning.
        """
        rate = self.steps[0][1] if self.steps else self.bandwidth
        if rate <= 0:
            return float('inf')
        return max(self.overhead / rate, self.message_seconds / self.message_bytes)


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

    def message_limit(self, most: int) -> int:
        """Say how many bytes a message should have at most, of at most `most`."""
        if self.loss:
            return min(most, CAUTIOUS_MESSAGE)
        return min(most, max(CAUTIOUS_MESSAGE, int(MESSAGE_SECONDS * self.goodput)))

    def assumed(self, message_bytes: int = CAUTIOUS_MESSAGE) -> Link | None:
        """
        Give the link that a plan should assume; None while nothing is known.

        :param message_bytes: most bytes of a message.
        """
        if not self.goodput:
            return None
        return Link(self.goodput, self.round_trip, self.message_cost,
                    self.message_limit(message_bytes))

    def differs(self, other: 'LinkEstimate', factor: float) -> bool:
        """Whether the goodput has moved so far from another estimate's that plans should too."""
        a, b = sorted((self.goodput, other.goodput))
        return b > factor * a
