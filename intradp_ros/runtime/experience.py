"""
What frames took against what was planned, way by way: plans are corrected by it.

A timeline knows operators and the link. What sending, receiving and a hedge take from the same
processor, other processes and a radio that is not alone it does not know; they can make one way
twice as slow as planned and leave another alone. So the ratio that was seen multiplies what is
planned for the same way at the same tensor, until it is too old: then that way is tried again.
What is old speaks for a way, and never against it.
Whether a frame is cut into tiles is part of the way: what a tile costs beyond its rows is the
hardest to foresee.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from statistics import median
from typing import NamedTuple

# Way, merge tensor, and whether there are several tiles.
Kind = tuple[str, str, bool]
LOCAL: Kind = 'local', '', False

# Seconds that a ratio is the median of, the same for all ways: a processor that was slow for a
# moment was so for whichever way was in use then, and says nothing against that.
WINDOW = 20.0
# Frames that it takes at least; a way that had fewer has its last ones, up to so many, and for so
# many seconds.
LEAST, FEW, HORIZON = 3, 9, 120.0
# When the last few frames differ from the window's by this factor, something has happened.
SUDDEN = 2.0
MOST_FRAMES = 1000


@dataclass(frozen=True)
class Factors:
    """
    Seen over planned time by kind; what is `past` was seen a while ago.

    Ways that use the edge and were not seen are taken to be as wrong as those that were, in the
    middle: what sending costs it costs all of them; what tiles cost, those with several. (As the
    best of them, one way after the other would be in use, at the cost of slow frames.) Where there
    are none such, as wrong as local inference: a processor that is slower now is so for all. A
    single frame now and then costs little: for those, ways that were not seen lately are taken to
    be as planned (`hope`), or they would be avoided for what others took and never be seen.
    """

    seen: Mapping[Kind, float] = field(default_factory=dict)
    past: Mapping[Kind, float] = field(default_factory=dict)

    def of(self, kind: Kind) -> float:
        """Give what plans of a kind are to be multiplied by."""
        if kind in self.seen:
            return self.seen[kind]
        if kind[0] == 'local':
            return 1.0
        alike = [f for (way, _, tiled), f in self.seen.items()
                 if way != 'local' and (kind[2] or not tiled)]
        others = median(alike) if alike else self.seen.get(LOCAL, 1.0)
        return min(others, self.past.get(kind, others))

    def know(self, kind: Kind) -> bool:
        """Say whether frames have shown a kind, lately or not."""
        return kind in self.seen or kind in self.past

    def hope(self, kind: Kind) -> float:
        """Give what plans of a kind may be multiplied by at best."""
        return self.seen.get(kind, min(1.0, self.of(kind)))

    def differ(self, other: 'Factors', factor: float) -> bool:
        """Whether one of those that both know has moved by more than a factor."""
        return any(not 1 / factor <= self.seen[kind] / other.seen[kind] <= factor
                   for kind in self.seen.keys() & other.seen.keys())


UNCORRECTED = Factors()


class _Frame(NamedTuple):
    """
    Seconds that were seen and planned; those of `computing` and `edge` for a device of pace 1 and
    an edge of its speed, where the plan was made for one that is `speedup` times as fast.
    """

    at: float
    seen: float
    planned: float
    computing: float = 0.0
    edge: float = 0.0
    speedup: float = 1.0


class Paces:
    """
    Remembers how many times as long as its profile says the device took: hot, or not alone. For
    one writer and one reader thread.
    """

    def __init__(self):
        # Frames of all ways, for as long as one of them is remembered.
        self._frames: deque[_Frame] = deque(maxlen=4 * MOST_FRAMES)
        # Asked for the same frames again each second, beside the frames of now.
        self.around = lru_cache(maxsize=1024)(self._around)

    def note(self, planned: float, took: float, now: float) -> None:
        """Take the seconds that a frame's part on the device was to take, and did."""
        if planned > 0 and took > 0:
            self._frames.append(_Frame(now, took, planned))

    def lately(self, now: float) -> float:
        """Give the pace of now; 1.0 where it has not been seen."""
        return _lately(tuple(self._frames), now, _median) or 1.0

    def _around(self, then: float) -> float:
        """
        Give what it was at a time at which a frame was noted, 1.0 where it was not seen; for times
        before the window, of which nothing more is to come.
        """
        frames, at = tuple(self._frames), attrgetter('at')
        near = frames[bisect_left(frames, then - WINDOW / 2, key=at):
                      bisect_right(frames, then + WINDOW / 2, key=at)]
        return _median(near) if near else 1.0


def _median(frames: Sequence[_Frame]) -> float:
    return median(f.seen / f.planned for f in frames)


class Experience:
    """
    Remembers the last frames of each way and tensor; for one writer and one reader thread.

    :param paces: of the device, by which its computing is judged: frames of the window by that of
        now (it is known some frames later than they are), older ones by that of their time.
    """

    def __init__(self, paces: Paces | None = None):
        self._seen: dict[Kind, deque[_Frame]] = {}
        self._paces = paces or Paces()

    def note(self, kind: Kind, planned: float, seen: float, now: float, computing: float = 0.0,
             edge: float = 0.0, speedup: float = 1.0) -> None:
        """
        Take a frame.

        :param planned, seen: seconds.
        :param now: seconds of the clock that `factors` is asked with.
        :param computing: seconds that are planned beside these, for a device of pace 1.
        :param edge: and those of the edge, if it were as fast as that device.
        :param speedup: how many times as fast the plan took it to be.
        """
        if planned + computing + edge > 0 and seen > 0:
            self._seen.setdefault(kind, deque(maxlen=MOST_FRAMES)).append(
                _Frame(now, seen, planned, computing, edge, speedup))

    def factors(self, now: float, speedup: float = 1.0) -> Factors:
        """
        Give what plans for the pace of now are to be multiplied by.

        :param speedup: of the edge that they are made for. Frames that were planned for another
            one are judged by the slower of the two: whether the edge has changed or only what is
            taken for its speed nobody knows, and who is too hopeful of a way sees it soon.
        """
        found: dict[Kind, float] = {}
        past: dict[Kind, float] = {}
        pace = self._paces.lately(now)

        def ratio(frames: Sequence[_Frame]) -> float:
            return median(
                f.seen / (f.planned + (f.computing + f.edge / min(f.speedup, speedup)) * (
                    pace if f.at >= now - WINDOW else self._paces.around(f.at)))
                for f in frames)
        for kind, seen in tuple(self._seen.items()):
            frames = tuple(seen)
            if (newest := _lately(frames, now, ratio)) is not None:
                found[kind] = newest
            elif len(frames) >= LEAST:
                past[kind] = ratio(frames[-FEW:])
        return Factors(found, past)


def _lately(frames: Sequence[_Frame], now: float,
            ratio: Callable[[Sequence[_Frame]], float]) -> float | None:
    """Give the ratio of now, or None: there are too few frames to know."""
    last = [f for f in frames[-FEW:] if f.at >= now - HORIZON]
    if len(last) < LEAST:
        return None
    recent = [f for f in frames if f.at >= now - WINDOW]
    newest = ratio(last)
    usual = ratio(recent) if len(recent) > FEW else newest
    return usual if 1 / SUDDEN < newest / usual < SUDDEN else newest
