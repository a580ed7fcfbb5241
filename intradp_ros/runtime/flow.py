"""
What the sender may send and when: window, pacing and resending, without threads or clocks.

The bytes in flight (sent, neither acknowledged nor given up) stay within a window of about twice
what the link holds: bandwidth times round trip, both read off the acknowledgements (as BBR does,
draft-cardwell-iccrg-bbr-congestion-control, section 4). While the measured rate grows so does the
window, so it opens within a few round trips and follows a link that gets slower at once. What is
sent beyond that would only wait in a queue, where nothing more urgent can overtake it. Loss alone
does not close it: radios lose packets without being full.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from intradp_ros.runtime.goodput import FrameTransfer, RateMeter
from intradp_ros.runtime.wire import Ack, Tile

# The edge may hold an acknowledgement back so long (seconds), to say more with one: each takes a
# slow robot 0.4 ms of processor time, and at 80 Mbit/s a message of 60 kB arrives every 6 ms.
ACK_PERIOD = 0.01
# Messages that may be in flight before anything is known of the link.
FIRST_MESSAGES = 3
# Bytes in flight and pace, as multiples of what the link was seen to carry.
GAIN = 2.0
# A best-effort message counts as lost when so many that were sent later have arrived.
OVERTAKEN = 3
# Least and first time until an unacknowledged message counts as lost (seconds). A reliable
# middleware sends again by itself: then only a long silence counts.
LEAST_TIMEOUT, LEAST_TIMEOUT_RELIABLE, FIRST_TIMEOUT = 0.03, 0.5, 0.5
# How often these are doubled at most.
DOUBLINGS, DOUBLINGS_RELIABLE = 3, 5
# A link that could have taken a message for so long (seconds) had to wait for the device.
STARVED = 2e-3
# With no acknowledgement for longer than both that and `SILENCE`, one message is sent in every
# `PROBE_PERIOD` (seconds).
SILENCE, PROBE_PERIOD = 0.2, 0.25


@dataclass(frozen=True)
class Message:
    """
    One tile in flight: when it was sent, as which message of all, how often before, whether the
    link had to wait for it or it for the link, and when the middleware had taken it (0 before).
    """

    tile: Tile
    urgent: bool
    sent: float = 0.0
    order: int = 0
    resends: int = 0
    late: bool = False
    held: bool = False
    taken: float = 0.0

    @property
    def size(self) -> int:
        """Bytes of its data."""
        return len(self.tile.data)


class Flow:
    """
    Decides what is sent next; one frame at a time.

    A new frame (`begin`) replaces the old one and all of its messages; what is known of the link
    stays. Whoever sends asks `next` for a message, and calls `put` when `wants_more`.

    :param window_bytes: the window; 0 to let it follow the link.
    :param reliable: whether the middleware itself sends again what is lost.
    """

    def __init__(self, message_bytes: int = 60000, window_bytes: int = 0, reliable: bool = False):
        self.message_bytes = message_bytes
        self.window_bytes = window_bytes
        self.reliable = reliable
        self.transfer = FrameTransfer()
        self.in_flight: dict[int, Message] = {}
        self.bytes_in_flight = 0
        self._queues: tuple[deque[Message], ...] = (deque(), deque(), deque())
        self._meter = RateMeter()
        self._opened = float(FIRST_MESSAGES * message_bytes)
        self._largest = 0
        self._orders = 0
        self._deadline = float('inf')
        self._round_trip = self._deviation = 0.0
        # How often in a row the timeout has been doubled since a message arrived in time.
        self._doublings = 0
        self._least_round_trip = float('inf')
        self._starved_since: float | None = None
        self._held = False
        self._landed_taken = 0.0
        self._unheard_since: float | None = None
        self._unheard_bytes = 0
        self._last_sent = float('-inf')
        self._pace_free = float('-inf')

    # -- what is to be sent --------------------------------------------------------------------

    def begin(self, transfer: FrameTransfer, deadline: float) -> None:
        """Go on to a new frame; `deadline` is when resending what it loses ends."""
        self.transfer, self._deadline = transfer, deadline
        self._starved_since, self._held = None, False
        self.in_flight.clear()
        self.bytes_in_flight = 0
        for queue in self._queues:
            queue.clear()

    def put(self, tiles: Sequence[Tile], urgent: bool) -> None:
        """Queue tiles; urgent ones overtake others, and what was lost goes first of all."""
        self._queues[1 if urgent else 2].extend(Message(tile, urgent) for tile in tiles)

    def next(self, now: float) -> tuple[Message | None, float | None]:
        """
        Take the next message, which then counts as sent at `now`.

        :returns: the message, or None and for how many seconds nothing will change by itself
            (None: not before something is put or acknowledged).
        """
        self._give_up(now)
        queue = next((q for q in self._queues if q), None)
        wait = self._closed_for(now, queue[0].size if queue else self._usual_size)
        if queue is None or wait is None or wait > 0:
            if queue is None and wait == 0 and self._starved_since is None:
                self._starved_since = now
            self._held |= wait != 0
            waits = [w for w in (wait, self._until_timeout(now)) if w]
            return None, min(waits, default=None)
        again = queue is self._queues[0]
        late = self._starved_since is not None and now - self._starved_since > STARVED
        message = replace(queue.popleft(), sent=now, order=self._orders, late=late,
                          held=self._held)
        self._starved_since, self._held = None, False
        if again:
            message = replace(message, resends=message.resends + 1)
            self.transfer.resent += 1
        self._orders += 1
        if not self.in_flight:
            self._begin_busy(now)
        self.in_flight[message.tile.index] = message
        self.bytes_in_flight += message.size
        self._largest = max(self._largest, message.size)
        self._last_sent = now
        self._unheard_bytes += message.size
        if self._unheard_since is None:
            self._unheard_since = now
        if self._meter.rate:
            pace = GAIN * self._meter.rate
            # Two messages may go at once, so that a late wake-up costs nothing.
            self._pace_free = message.size / pace + max(
                self._pace_free, now - 2 * self._largest / pace)
        return message, None

    def on_taken(self, message: Message, now: float) -> None:
        """Note that the middleware has taken a message."""
        if self.in_flight.get(message.tile.index) is message:
            self.in_flight[message.tile.index] = replace(message, taken=now)

    def wants_more(self, now: float) -> bool:
        """Whether another message could go at once: the time to decide what it shall be."""
        return not self.waiting and self._closed_for(now, self._usual_size) == 0

    # -- what comes back -----------------------------------------------------------------------

    def heard(self) -> None:
        """Note that the edge said anything at all: the link is not dead."""
        self._unheard_since, self._unheard_bytes = None, 0

    def on_ack(self, ack: Ack, now: float) -> None:
        """Take an acknowledgement of this frame: it opens the window, and shows what was lost."""
        self.heard()
        arrived = [m for i, m in self.in_flight.items() if arrived_by(ack, i)]
        for queue in self._queues[:1]:  # given up too soon
            late = [m for m in queue if arrived_by(ack, m.tile.index)]
            for message in late:
                queue.remove(message)
        for message in arrived:
            self._land(message)
        fresh = [m for m in arrived if not m.resends]
        round_trip = min((now - m.sent for m in fresh), default=float('inf'))
        if fresh:
            self._on_round_trip(round_trip)
        gained = sum(m.size for m in arrived)
        if any(m.late for m in arrived):
            self._begin_busy(min(m.sent for m in arrived if m.late))
        arrival = ack.receive_ms / 1e3
        taken = max((m.taken or now for m in arrived), default=self._landed_taken)
        waited = any(m.held or m.resends for m in arrived)
        self.transfer.on_ack(now, ack.messages, ack.bytes, gained, round_trip, arrival,
                             0.0 if waited else taken - self._landed_taken)
        self._landed_taken = taken
        if not arrived:
            return
        self._meter.on_arrival(now, gained, not self.in_flight, arrival)
        self._opened = min(self._opened + gained, self._target())
        if not self.reliable:
            latest = max(m.order for m in arrived)
            for message in [m for m in self.in_flight.values() if m.order <= latest - OVERTAKEN]:
                self._lose(message)

    # -- state for others ----------------------------------------------------------------------

    @property
    def window(self) -> float:
        """Bytes that may be in flight (one message always may)."""
        return float(self.window_bytes) or self._opened

    @property
    def rate(self) -> float:
        """Bytes a second that the link carried while it was busy; 0 while that is not known."""
        return self._meter.rate

    @property
    def round_trip(self) -> float:
        """Usual seconds from a send to its acknowledgement; 0 while that is not known."""
        return self._round_trip

    @property
    def unheard_since(self) -> float:
        """When the first message was sent of which nothing has been heard; -inf without one."""
        return float('-inf') if self._unheard_since is None else self._unheard_since

    @property
    def waiting(self) -> bool:
        """Whether a message waits to be sent, or to be sent again."""
        return any(self._queues)

    @property
    def bytes_left(self) -> int:
        """Bytes of this frame that wait, or are in flight."""
        return self.bytes_in_flight + sum(m.size for queue in self._queues for m in queue)

    def silent(self, now: float) -> bool:
        """Whether messages were sent and nothing has been heard for suspiciously long."""
        return now >= self._silent_from()

    @property
    def _usual_size(self) -> int:
        return self._largest or self.message_bytes

    # -- rules ---------------------------------------------------------------------------------

    def _closed_for(self, now: float, size: int) -> float | None:
        """Seconds until a message may go; None when only an acknowledgement can open the way."""
        if self.in_flight and self.bytes_in_flight + size > self.window:
            return None
        if self.silent(now):
            return max(0.0, self._last_sent + PROBE_PERIOD - now)
        if self._unheard_bytes and self._unheard_bytes + size > self.window:
            # Earlier frames count: what they sent may still be on its way.
            return self._silent_from() - now
        return max(0.0, self._pace_free - now) if self._pace_free > now + 5e-4 else 0.0

    def _silent_from(self) -> float:
        if self._unheard_since is None:
            return float('inf')
        return self._unheard_since + max(SILENCE, self._timeout())

    def _target(self) -> float:
        if not self._meter.rate or self._least_round_trip == float('inf'):
            return float('inf')
        # The round trip of a message has its own time on the link in it.
        held = self._meter.rate * (self._least_round_trip + ACK_PERIOD)
        return max(GAIN * held, 2 * self._largest)

    def _timeout(self) -> float:
        """Seconds after which an unacknowledged message counts as lost (RFC 6298, section 2)."""
        least = LEAST_TIMEOUT_RELIABLE if self.reliable else LEAST_TIMEOUT
        if not self._round_trip:
            return max(least, FIRST_TIMEOUT)
        queued = self.bytes_in_flight / self._meter.rate if self._meter.rate else 0.0
        return max(least, self._round_trip + 4 * self._deviation + ACK_PERIOD + queued)

    def _due(self, message: Message) -> float:
        # A best-effort message is lost easily: that another one was says nothing of its timeout.
        doublings = min(max(message.resends, self._doublings), DOUBLINGS_RELIABLE) \
            if self.reliable else min(message.resends, DOUBLINGS)
        return message.sent + self._timeout() * 2 ** doublings

    def _until_timeout(self, now: float) -> float | None:
        if not self.in_flight or now >= self._deadline:
            return None
        return max(0.0, min(map(self._due, self.in_flight.values())) - now) + 1e-4

    def _give_up(self, now: float) -> None:
        """Queue again what is overdue, as long as it may still be in time."""
        if now >= self._deadline:
            self._queues[0].clear()
            return
        overdue = [m for m in self.in_flight.values() if now >= self._due(m)]
        for message in overdue:
            self._lose(message)
        if overdue:
            # The timeout may be too short by now. What is sent again shows no round trip, so only
            # waiting for longer can (RFC 6298, section 5.5 to 5.7): a link that had become slow
            # carried everything several times, for ever.
            self._doublings += 1
            # The time until that was noticed says nothing of the rate.
            self._begin_busy(now)

    def _begin_busy(self, now: float) -> None:
        self._meter.begin(now)
        self.transfer.on_busy(now)

    def _lose(self, message: Message) -> None:
        self._land(message)
        self.transfer.on_lost()
        self._queues[0].append(message)

    def _land(self, message: Message) -> None:
        del self.in_flight[message.tile.index]
        self.bytes_in_flight -= message.size

    def _on_round_trip(self, seconds: float) -> None:
        """Smooth as RFC 6298 does."""
        self._doublings = 0
        self._least_round_trip = min(self._least_round_trip, seconds)
        if not self._round_trip:
            self._round_trip, self._deviation = seconds, seconds / 2
        else:
            self._deviation += (abs(seconds - self._round_trip) - self._deviation) / 4
            self._round_trip += (seconds - self._round_trip) / 8


def arrived_by(ack: Ack, index: int) -> bool:
    """Whether an acknowledgement covers a message."""
    beyond = index - ack.next - 1
    return index < ack.next or (0 <= beyond < 64 and bool(ack.bitmap >> beyond & 1))
