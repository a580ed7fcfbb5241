"""Plans again when the link, the edge or what frames take has changed, and not otherwise."""

import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import log

from intradp_ros.planning.link import LinkEstimate
from intradp_ros.planning.plan import Objective, Plan, kind_of
from intradp_ros.planning.profile import Profile
from intradp_ros.runtime import modes
from intradp_ros.runtime.experience import Experience, Factors, Paces
from intradp_ros.runtime.modes import Decision
from intradp_ros.runtime.wire import Report

# A plan is made at most once in this time (seconds), and again only when the goodput or the
# edge's speed has moved by this factor since the last one: a figure that trembles changes nothing.
PERIOD = 1.0
HYSTERESIS = 1.25
# Likewise for what frames took against their plan, but for what is new. Planning takes the frames'
# processor: where frames that took a little longer had it done again at once, the next ones took
# longer, too.
LESSON_PERIOD, LESSON_HYSTERESIS = 5.0, 1.1
# The edge's speed is taken in steps of this factor: what is prepared for one serves for long, and
# plans depend little on a part of the frame that takes little of its time.
STEP = 2.0
# What the device computes of a frame is as planned in these ways; others find it on the way.
FIXED = ('local', 'cut', 'split')
MOST_SHORTLISTS = 16
# Frames go first: the planner's thread has a priority of its own, and gives Python's lock away
# sooner (seconds) than by default: with 5 ms a frame beside a busy thread took a tenth to a
# quarter longer. With a tenth of the core (nice 10) the first plan with JPEG came after more than
# 10 s on a quarter of one.
NICE, SWITCH_INTERVAL = 5, 5e-4
# Planning that takes longer (seconds) takes it from the frames beside it, on one core: three times
# what they take without it were seen. They say nothing of their plan.
FELT = 0.02


@dataclass(frozen=True)
class Wish:
    """What plans are asked for: everything in it may change between two of them."""

    mode: str
    objective: Objective = Objective()
    max_map_drop: float = 0.0
    edge_speedup: float = 10.0
    message_bytes: int = 60000


class Replanner:
    """Remembers what the last decision was made for."""

    def __init__(self):
        self.decision: Decision | None = None
        self._wish: Wish | None = None
        self._link = LinkEstimate()
        self._speedup = 0.0
        self._shortlists: dict[tuple[Wish, float], dict[str, list[Plan] | None]] = {}
        self._at_once = False
        self._paces, self._pace = Paces(), 1.0
        # By mode: kinds do not tell codecs apart, and modes do not allow the same ones.
        self._experience: defaultdict[str, Experience] = defaultdict(
            lambda: Experience(self._paces))
        self._factors = Factors()
        self._planned = float('-inf')
        self._alone_since = float('-inf')

    @contextmanager
    def working(self, clock: Callable[[], float]) -> Iterator[None]:
        """
        Plan, or do whatever else takes the processor, in this.

        :param clock: the one that frames are noted with.
        """
        begin, before, self._alone_since = clock(), self._alone_since, float('inf')
        try:
            yield
        finally:
            end = clock()
            self._alone_since = end if end - begin > FELT else before

    def note(self, report: Report, now: float) -> None:
        """
        Take the report of a frame that has just ended: it says how right the decision was that it
        was done by.
        """
        if self._wish is None or report.mode != self._wish.mode:
            return  # done by hand, or before the mode was changed
        if now - report.latency_ms / 1e3 < self._alone_since:
            return  # planning took the processor from it
        # An edge that fails or a frame that is done otherwise says nothing of the plan.
        meant = [d for d in (self.decision, self.decision and self.decision.rival)
                 if d is not None and d.way == report.way]
        if len(meant) > 1:
            done = kind_of(report.way, report.merge, report.tiles)
            meant = [d for d in meant if d.kind == done]
        if meant and not report.fallback:
            planned, computing = meant[0].seconds, 0.0
            edge = min(meant[0].edge_seconds, planned)
            if report.way in FIXED and not report.hedged and meant[0].device_seconds > 0:
                # A slow device says nothing against the way in which that was seen. But tiles may
                # take longer than planned on one that is not slow, so they never show that it is.
                computing, took = meant[0].device_seconds, report.device_ms / 1e3
                if meant[0].kind[2]:
                    took = min(took, computing)
                computing /= self._pace
                self._paces.note(computing, took, now)
            rest = max(planned - edge - self._pace * computing, 0.0)
            self._experience[self._wish.mode].note(
                meant[0].kind, rest, (report.latency_ms - report.queue_ms) / 1e3, now,
                computing, edge * self._speedup / self._pace, self._speedup)

    def decide(self, profile: Profile, wish: Wish, link: LinkEstimate,
               edge_seconds: float, now: float) -> Decision | None:
        """
        Plan if there is reason to.

        :param profile: of the device; the same one every time.
        :param edge_seconds: the edge's time for the whole model, postprocessing apart, as
            measured; 0 while it is not known: then the wish's guess counts.
        :param now: seconds of the clock that frames are noted with.
        :returns: a new decision, None when the last one stands.
        :raises ParameterError: when the planner cannot plan for this model.
        """
        if self._wish is not None and wish.mode != self._wish.mode:
            self.decision = None
        pace = self._paces.lately(now)
        another_pace = _apart(pace, self._pace, LESSON_HYSTERESIS) and \
            now >= self._planned + LESSON_PERIOD
        speedup = wish.edge_speedup
        if edge_seconds > 0:
            speedup = (pace if another_pace else self._pace) * profile.total / edge_seconds
        step, moved = self._speedup, _apart(speedup, self._speedup, HYSTERESIS * STEP ** 0.5)
        if another := moved or wish != self._wish:
            # In between, what a step was prepared for stands: no going to and fro at its edge.
            step = STEP ** round(log(speedup, STEP))
        factors = self._experience[wish.mode].factors(now, step)
        changed = another or link.differs(self._link, HYSTERESIS) \
            or self._learnt(factors, now) or another_pace
        if not changed and None not in self._shortlists[wish, self._speedup].values():
            return None
        # Frames do not wait for lists, but on a link that never rests those are made, too.
        self._at_once = another or changed and not self._at_once
        self._wish, self._link, self._factors, self._planned = wish, link, factors, now
        # Whatever it is made for, a plan is made for what there is now, as the factors are.
        self._pace, self._speedup = pace, step
        if len(self._shortlists) > MOST_SHORTLISTS:
            self._shortlists.clear()
        shortlists = self._shortlists.setdefault((wish, self._speedup), {})
        decision = modes.decide(
            wish.mode, profile, self._speedup, link.assumed(wish.message_bytes), wish.objective,
            wish.max_map_drop, shortlists, factors, pace, self._at_once)
        if decision == self.decision:
            return None
        self.decision = decision
        return decision

    def _learnt(self, factors: Factors, now: float) -> bool:
        """Whether frames have shown something that the last decision was not made with."""
        if factors.seen.keys() != self._factors.seen.keys():
            return True
        return now >= self._planned + LESSON_PERIOD and \
            factors.differ(self._factors, LESSON_HYSTERESIS)


def _apart(a: float, b: float, factor: float) -> bool:
    """Whether one of two figures is more than so many times the other."""
    less, more = sorted((a, b))
    return more > factor * less


class PlanningThread:
    """
    The device's own planner, for when no parameter server decides: off the frames' way.

    :param profile: gives the device's profile; may take seconds, and is asked once.
    :param wish: says what is wanted now; None when nothing is to be planned.
    :param observed: gives the link and the edge's seconds for the whole model.
    :param decided: takes a new decision.
    """

    def __init__(self, profile: Callable[[], Profile], wish: Callable[[], Wish | None],
                 observed: Callable[[], tuple[LinkEstimate, float]],
                 decided: Callable[[Decision], None], warn: Callable[[str], None]):
        self._profile, self._wish, self._observed = profile, wish, observed
        self._decided, self._warn = decided, warn
        self._replanner = Replanner()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name='planner', daemon=True)
        self._thread.start()

    def note(self, report: Report) -> None:
        """Take the report of a frame; from any one thread."""
        self._replanner.note(report, time.monotonic())

    def close(self) -> None:
        """
        End the thread. It may be measuring a profile, for seconds: nobody waits for that, and
        nothing is heard of it any more.
        """
        self._ended.set()
        self._thread.join(0.5)

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # Linux: threads have priorities of their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        sys.setswitchinterval(SWITCH_INTERVAL)
        profile = None
        while not self._ended.is_set():
            try:
                if (wish := self._wish()) is not None:
                    with self._replanner.working(time.monotonic):
                        profile = profile or self._profile()
                        decision = self._replanner.decide(profile, wish, *self._observed(),
                                                          time.monotonic())
                    if decision is not None and not self._ended.is_set():
                        self._decided(decision)
            except Exception as error:  # a planner must never end the node
                if not self._ended.is_set():
                    self._warn(f'cannot plan: {type(error).__name__}: {error}')
            self._ended.wait(PERIOD)
