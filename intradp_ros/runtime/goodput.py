"""
The link as the device sees it: from its own sends and the edge's acknowledgements.

No probe traffic, no synchronised clocks: goodput is measured by the edge's clock, between arrivals
there, which neither the way back of acknowledgements nor a busy device delays; all other times are
read from the device's clock. Times are seconds, sizes bytes.
"""

import statistics
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from intradp_ros.planning.link import LinkEstimate


class RateMeter:
    """
    Bytes a second that arrive while something is in flight, now.

    Between two arrivals, and not from a send to its acknowledgement: so the round trip is no part
    of it. Looks back over `horizon` seconds of a busy period.
    """

    def __init__(self, horizon: float = 0.1):
        self.rate = 0.0
        self._horizon = horizon
        self._begun = 0.0
        self._total = 0
        self._seen: deque[tuple[float, int]] = deque()

    def begin(self, now: float) -> None:
        """Note that something is in flight again."""
        self._begun, self._total = now, 0
        self._seen.clear()

    def on_arrival(self, now: float, size: int, idle: bool, arrival: float) -> None:
        """
        Note that `size` more bytes have arrived.

        :param idle: whether nothing else is in flight.
        :param arrival: when the last of them arrived, by any clock that stays the same.
        """
        self._total += size
        self._seen.append((arrival, self._total))
        while len(self._seen) > 2 and self._seen[1][0] <= arrival - self._horizon:
            self._seen.popleft()
        begin, before = self._seen[0]
        if arrival - begin >= 1e-3:
            self.rate = (self._total - before) / (arrival - begin)
        elif idle or not self.rate:
            # All at once, with the round trip in it: no more than a lower bound.
            self.rate = max(self.rate, self._total / max(now - self._begun, 1e-6))


@dataclass(frozen=True)
class Sent:
    """
    One message that was handed to the middleware: when, how large, and how long publish()
    took.
    """

    begin: float
    end: float
    size: int


# A link that is slower than its device makes messages arrive so many times as far apart as they
# were sent; and a busy machine may delay one for so long (seconds).
SLOWED, JITTER = 1.25, 2e-3
# What takes so many times as long as link and device explain speaks against what was measured of
# the link; so many frames in a row, and one more, do until they are believed.
LOOSE = 4


class FrameTransfer:
    """
    The sends and acknowledgements of one frame.

    Goodput counts busy time only: from the first arrival that was acknowledged after something was
    in flight again to the last one. What one acknowledgement speaks of says little; it is used
    where there is nothing better. Of what arrives as it was sent the device was the bottleneck:
    the link carries at least as much (like the application-limited samples of
    draft-cheng-iccrg-delivery-rate-estimation, section 3.4).
    """

    def __init__(self):
        self.sent: list[Sent] = []
        self.messages = self.bytes = self.lost = self.resent = 0
        self.round_trip = float('inf')
        self.heard = False
        self._busy_bytes = self._coarse_bytes = 0
        self._busy_seconds = self._coarse_seconds = self._sending_seconds = 0.0
        self._begun = self._last = 0.0
        self._fresh, self._waits = True, 0

    def on_busy(self, now: float) -> None:
        """Note that something is in flight again."""
        self._begun, self._fresh = now, True

    def on_sent(self, begin: float, end: float, size: int) -> None:
        """Note one message."""
        self.sent.append(Sent(begin, end, size))

    def on_lost(self) -> None:
        """Note that a message was lost, as far as one can tell."""
        self.lost += 1

    def on_ack(self, now: float, messages: int, size: int, gained: int, round_trip: float,
               arrival: float, sending: float) -> None:
        """
        Note an acknowledgement.

        :param messages: messages of the frame that have arrived by now, `size` bytes in all.
        :param gained: bytes of them that had been in flight until now.
        :param round_trip: seconds since the newest of them was sent.
        :param arrival: when the newest arrived, by any clock that stays the same.
        :param sending: seconds that the device took to hand over what was gained, 0 where it had
            to wait for the link.
        """
        self.heard = True
        self.messages, self.bytes = max(self.messages, messages), max(self.bytes, size)
        self.round_trip = min(self.round_trip, round_trip)
        if not gained:
            return
        if self._fresh:
            self._coarse_bytes += gained
            self._coarse_seconds += now - self._begun
            self._waits += 1
        else:
            self._busy_bytes += gained
            self._busy_seconds += max(0.0, arrival - self._last)
            self._sending_seconds += sending
        self._fresh, self._last = False, arrival

    def goodput(self) -> tuple[float, bool]:
        """
        Bytes a second while busy, and whether that is more than a lower bound; 0 without any.
        """
        if self._busy_seconds > JITTER + SLOWED * self._sending_seconds:
            return self._busy_bytes / self._busy_seconds, True
        seconds = self._coarse_seconds + self._busy_seconds
        if not seconds:
            return 0.0, False
        # A round trip is in the first; the second allows for an arrival that was delayed.
        return max((self._coarse_bytes + self._busy_bytes) / seconds,
                   self._busy_bytes / (self._busy_seconds + JITTER)), False

    def contradicts(self, rate: float, round_trip: float) -> bool:
        """
        Say whether all this took far longer than a link of such figures and the device explain.

        Small messages that the device makes one by one take a round trip each, whatever the rate.
        """
        explained = ((self._coarse_bytes + self._busy_bytes) / rate
                     + self._waits * round_trip + self._sending_seconds)
        return self._coarse_seconds + self._busy_seconds > LOOSE * explained


def _usual(rates: Collection[float]) -> float:
    """Give the median; 0 of none."""
    return statistics.median(rates) if rates else 0.0


class LinkEstimator:
    """
    Medians over the last frames: one slow frame does not move them, a changed link soon does.

    A frame of which nothing was heard says nothing of the goodput: an outage is not a slow link,
    and ends. While the edge is silent, all messages of such a frame count as lost. Frames in which
    the link waited for the device give a lower bound: it says something only where it is above
    what was measured before, or where the frame took so long that the link must have changed.
    """

    def __init__(self, frames: int = 7):
        self._transfers: deque[FrameTransfer] = deque(maxlen=frames)
        self._measured: deque[float] = deque(maxlen=frames)
        self._bounds: deque[float] = deque(maxlen=frames)
        # Least ones of the frames in which goodput was measured.
        self._round_trips: deque[float] = deque(maxlen=frames)
        self._doubts = 0

    def on_frame_end(self, transfer: FrameTransfer, silent: bool = False) -> None:
        """
        Take the figures of a frame that has ended, however it ended.

        :param silent: whether the edge has not been heard of for suspiciously long.
        """
        if transfer.sent:
            if silent and not transfer.heard:
                transfer.lost = len(transfer.sent)
            self._transfers.append(transfer)
            goodput, sure = transfer.goodput()
            if sure:
                self._bounds.clear()
                self._measure(goodput, transfer.round_trip)
            elif goodput:
                self._bounds.append(goodput)
                measured, bound = _usual(self._measured), _usual(self._bounds)
                if len(self._bounds) == self._bounds.maxlen and bound > measured:
                    # So many frames in a row: not the luck of one, and to be remembered when the
                    # device has more to do.
                    self._measured.clear()
                    self._measure(bound, transfer.round_trip)
                elif measured:
                    self._doubt(transfer.contradicts(measured, min(self._round_trips)))

    def _measure(self, goodput: float, round_trip: float) -> None:
        self._measured.append(goodput)
        self._round_trips.append(round_trip)
        self._doubts = 0

    def _doubt(self, contradicted: bool) -> None:
        self._doubts = self._doubts + 1 if contradicted else 0
        if self._doubts > LOOSE:
            self._measured.clear()
            while len(self._bounds) > self._doubts:
                self._bounds.popleft()
            self._doubts = 0

    def estimate(self) -> LinkEstimate:
        """Give the figures of the last frames."""
        transfers = tuple(self._transfers)  # frames end on another thread
        if not transfers:
            return LinkEstimate()
        measured, bounds = tuple(self._measured), tuple(self._bounds)
        goodput = max(_usual(measured), max(bounds, default=0.0))
        round_trip = min(t.round_trip for t in transfers)
        costs = [s.end - s.begin for t in transfers for s in t.sent]
        span = sum(t.sent[-1].end - t.sent[0].begin for t in transfers)
        lost = sum(t.lost for t in transfers)
        # What was in flight when its frame ended is neither.
        arrived = sum(t.messages for t in transfers)
        last = transfers[-1]
        return LinkEstimate(
            goodput=goodput,
            round_trip=round_trip if round_trip < float('inf') else 0.0,
            message_cost=statistics.median(costs),
            loss=lost / max(1, lost + arrived),
            blocked=min(1.0, sum(costs) / span) if span > 0 else 0.0,
            frame_bytes=sum(s.size for s in last.sent), frame_messages=len(last.sent))
