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

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

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


class Experience:
    """Remembers the last frames of each way and tensor; for one writer and one reader thread."""

    def __init__(self):
        self._seen: dict[Kind, deque[tuple[float, float]]] = {}

    def note(self, kind: Kind, planned: float, seen: float, now: float) -> None:
        """
        Take a frame.

        :param planned, seen: seconds.
        :param now: seconds of the clock that `factors` is asked with.
        """
        if planned > 0 and seen > 0:
            self._seen.setdefault(kind, deque(maxlen=MOST_FRAMES)).append((now, seen / planned))

    def factors(self, now: float) -> Factors:
        """Give what plans are to be multiplied by."""
        found: dict[Kind, float] = {}
        past: dict[Kind, float] = {}
        for key, seen in tuple(self._seen.items()):
            frames = tuple(seen)
            last = [ratio for at, ratio in frames[-FEW:] if at >= now - HORIZON]
            if len(last) < LEAST:
                if len(frames) >= LEAST:
                    past[key] = median(ratio for _, ratio in frames[-FEW:])
                continue
            recent = [ratio for at, ratio in frames if at >= now - WINDOW]
            usual = median(recent) if len(recent) > FEW else median(last)
            sudden = not 1 / SUDDEN < median(last) / usual < SUDDEN
            found[key] = median(last) if sudden else usual
        return Factors(found, past)
