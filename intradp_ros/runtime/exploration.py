"""
Which frames are done otherwise than planned, to see what is not in use.

A link that nobody sends over may have become better, and what a way takes changes with all that
processor and link have to do. So where a plan says "local" a frame now and then is offered to the
edge, and where a plan has a rival one is done as that says.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from intradp_ros.planning.link import CAUTIOUS_MESSAGE
from intradp_ros.runtime.settings import DeviceSettings
from intradp_ros.tiling.split import Split

# Seconds from one frame that is done as the plan's rival to the next; and of the first ones, so
# many, of a rival that is new: what it takes is known within two seconds.
TRIAL_PERIOD = 3.0
FIRST_TRIAL_PERIOD, FIRST_TRIALS = 0.3, 4
# Where a plan says "local", a frame in this time (seconds) is offered to the edge all the same.
# Each that shows a link too slow to be sooner than a local result makes the next wait twice as
# long, up to the second figure; but for the first ones in a row, as a link that has become slow is
# often better soon.
EXPLORE_PERIOD, LONGEST_EXPLORE_PERIOD = 1.0, 8.0
FIRST_EXPLORED = 6
# The same while the edge is silent: nobody waits, and it costs a message now and then. Nor is an
# edge that was waited for in vain waited for again sooner.
RETRY_PERIOD = 0.5
# Models that take a moment: of all these (but where nobody waits) a frame in so many is enough,
# and of the first trials one in so many.
FRAMES, FIRST_FRAMES = 5, 1.5
# Where the edge's answer will not be the sooner one, so many bytes of such a frame are enough to
# see what the link carries.
EXPLORED_BYTES = 3 * CAUTIOUS_MESSAGE


class Explorer:
    """
    Remembers what was tried last; for one thread.

    :param offload: sends the whole input.
    :param alive: whether there is an edge and it answers.
    :param sooner: whether the link carries the input in less time than local inference takes.
    """

    def __init__(self, offload: Split, alive: Callable[[], bool], sooner: Callable[[], bool]):
        self.offered = self.tried = float('-inf')  # a frame to the edge, a rival
        self._offload = offload
        self._alive, self._sooner = alive, sooner
        self._exploring = False
        self._local = 0.0  # seconds that local inference takes
        self._late = 0  # frames offered in vain, in a row
        self._rival: tuple[str, int, int] | None = None  # the one tried last, and how often
        self._trials = 0

    def choose(self, planned: DeviceSettings, now: float, silent: bool) -> DeviceSettings:
        """
        Say how the next frame is done.

        :param silent: whether the edge did not answer when it was asked last.
        """
        self._exploring = False
        rival = planned.rival
        if rival is not None and now >= self.tried + self._trial_period(rival) and \
                (rival.way == 'local' or self._alive()):
            self.tried = now
            self._trials += 1
            return rival
        # A rival that uses the edge shows what the link carries.
        shown = rival is not None and rival.way != 'local' and not silent
        if planned.way != 'local' or not planned.explore or shown or \
                now < self.offered + self._period(silent):
            return planned
        self._exploring = True
        # Where that seems to be sooner than a local result (the plan may be wrong), nothing shall
        # compete with sending; else the frame must not be late.
        hedge = planned.hedge or not self._sooner()
        return replace(planned, way='offload', hedge=hedge, split=self._offload,
                       most_bytes=EXPLORED_BYTES if hedge else math.inf)

    def _trial_period(self, rival: DeviceSettings) -> float:
        """Give the time between two trials of this rival; another one is counted anew."""
        what = rival.way, rival.split.merge, rival.tile_count
        if what != self._rival:
            self._rival, self._trials = what, 0
        if rival.new and self._trials < FIRST_TRIALS:
            return max(FIRST_TRIAL_PERIOD, FIRST_FRAMES * self._local)
        return max(TRIAL_PERIOD, FRAMES * self._local)

    def _period(self, silent: bool) -> float:
        if silent:
            return RETRY_PERIOD
        doublings = max(0, self._late - FIRST_EXPLORED + 1)
        seconds = min(EXPLORE_PERIOD * 2 ** min(doublings, 30), LONGEST_EXPLORE_PERIOD)
        return max(seconds, FRAMES * self._local)

    def note(self, now: float, answered: bool, local: float) -> None:
        """
        Take the end of the frame that was chosen for: count those that were only made late by
        being offered.

        :param answered: whether the edge did it.
        :param local: seconds that local inference takes.
        """
        self._local = local
        if not self._exploring:
            return
        sooner = self._sooner() and (not answered or now - self.offered < local)
        # What a dead link or edge took says nothing; that it is back shall be seen soon.
        late = self._alive() and not sooner
        self._late = self._late + 1 if late else 0
