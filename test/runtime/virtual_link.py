"""A link in virtual time: rate, delay, loss and outages are known, and hours take milliseconds."""

import heapq
import itertools
import random
from collections.abc import Callable

from intradp_ros.runtime.flow import ACK_PERIOD, Flow
from intradp_ros.runtime.goodput import FrameTransfer, LinkEstimator
from intradp_ros.runtime.wire import Ack, AckState, Stamp, Tile


class VirtualLink:
    """
    A `Flow`, a FIFO link and an edge that acknowledges as the real one does.

    :param rate: bytes a second at a time. :param lost: whether a message sent at a time is lost.
    `publishing` is what the device takes to hand over a message (seconds).
    """

    def __init__(self, flow: Flow, rate: Callable[[float], float], delay: float = 0.005,
                 lost: Callable[[float], bool] = lambda now: False):
        self.flow, self.rate, self.delay, self.lost = flow, rate, delay, lost
        self.now = self.publishing = 0.0
        self.estimator = LinkEstimator()
        self.most_in_flight_over = 0.0
        self.sends: list[tuple[float, int]] = []
        self._free = 0.0
        self._events: list = []
        self._numbers = itertools.count()

    def _at(self, time: float, action) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), action))

    def _pass(self, seconds: float) -> None:
        """Let time pass, with what happens meanwhile."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now = max(self.now, self._events[0][0])
            heapq.heappop(self._events)[2]()
        self.now = until

    def frame(self, sizes: list[int], seconds: float, deadline: float = 1e9,
              urgent: Callable[[int], bool] = lambda i: False) -> FrameTransfer:
        """Offer one frame's messages and let `seconds` pass."""
        flow, transfer = self.flow, FrameTransfer()
        flow.begin(transfer, self.now + deadline)
        arrived: dict[int, int] = {}
        self.transfer, self.arrived = transfer, arrived
        waiting, end = list(enumerate(sizes)), self.now + seconds
        acked = {'last': float('-inf'), 'due': False}

        def acknowledge():
            acked['due'], acked['last'] = False, self.now
            following = next(i for i in itertools.count() if i not in arrived)
            bitmap = sum(1 << i for i in range(64) if following + 1 + i in arrived)
            ack = Ack(1, 0, following, bitmap, len(arrived), sum(arrived.values()),
                      AckState.RECEIVING, receive_ms=(acked['newest'] - acked['oldest']) * 1e3)
            if not self.lost(self.now):
                self._at(self.now + self.delay, lambda: flow.on_ack(ack, self.now)
                         if transfer is self.transfer else flow.heard())

        def arrive(index, size):
            if index not in arrived:
                acked['newest'] = self.now
                acked.setdefault('oldest', self.now)
            arrived[index] = size
            if not acked['due']:
                acked['due'] = True
                self._at(max(self.now, acked['last'] + ACK_PERIOD), acknowledge)

        while True:
            message, wait = flow.next(self.now)
            if message is None and waiting and flow.wants_more(self.now):
                index, size = waiting.pop(0)
                flow.put([Tile(Stamp(0, 0, ''), '', 1, 0, 0, index, 0, 0, 1, 0, 1, 1,
                               bytes(size))], urgent(index))
                continue
            if message is not None:
                if len(flow.in_flight) > 1:
                    self.most_in_flight_over = max(
                        self.most_in_flight_over, flow.bytes_in_flight - flow.window)
                self.sends.append((self.now, message.tile.index))
                transfer.on_sent(self.now, self.now + max(self.publishing, 1e-4), message.size)
                begin = max(self._free, self.now)
                while self.rate(begin) <= 0 and begin < end + 10:
                    begin += 0.01
                self._free = max(begin + message.size / max(self.rate(begin), 1.0),
                                 self.now + self.publishing)
                if not self.lost(self.now):
                    self._at(self._free + self.delay,
                             lambda i=message.tile.index, s=message.size: arrive(i, s))
                self._pass(self.publishing)
                flow.on_taken(message, self.now)
                continue
            times = [end, *(event[0] for event in self._events[:1])]
            if wait is not None:
                times.append(self.now + max(wait, 1e-6))
            self.now = max(self.now, min(times))
            if self.now >= end:
                break
            self._pass(0.0)
        self.estimator.on_frame_end(transfer, flow.silent(self.now))
        return transfer


def losing(share: float, seed: int = 0) -> Callable[[float], bool]:
    """Lose a random share of all messages."""
    chance = random.Random(seed)
    return lambda now: chance.random() < share
