"""What frames take on the edge, as far as it has said."""

import statistics
from collections import deque

from intradp_ros.runtime.rolling import percentile

# Of so many frames, the last ones.
FRAMES = 9
# A small part of the model says little of the whole.
LEAST_SHARE = 0.1
# Parts of the model do not take their share of the whole: of so many frames, those count that left
# nearly as much to the edge as any of them.
REMEMBERED, NEARLY = 200, 0.9


class EdgeTimes:
    """Noted by one thread, read by others."""

    def __init__(self) -> None:
        self._frames: deque[float] = deque(maxlen=FRAMES)
        self._wholes: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        self._afters: deque[float] = deque(maxlen=FRAMES)

    def note(self, seconds: float, share: float, after: float = 0.0) -> None:
        """
        Take the time of a frame.

        :param share: of the model's work that the edge did, 0 to 1.
        :param after: seconds of it that postprocessing took, which is never shared.
        """
        # Frames come last: who sees one sees the rest of it.
        self._afters.append(after)
        if share > LEAST_SHARE:
            self._wholes.append((share, (seconds - after) / share))
        self._frames.append(seconds)

    def frame(self, share: float = 0.0) -> float | None:
        """
        Give what a frame usually takes; None while it is not known.

        :param share: of the model's work that this one leaves to the edge: it may be more than the
            usual frame's.
        """
        times, afters = tuple(self._frames), tuple(self._afters)
        return max(statistics.median(times), share * self.whole() + statistics.median(afters)) \
            if times else None

    def whole(self) -> float:
        """
        Give what the whole model takes without postprocessing, in seconds; 0 while it is not
        known.

        The lower quartile: among frames of 51 to 63 ms some took 140, and with the median plans
        took the edge to be as fast as the device, or four times as fast, within a minute. So they
        did with the last frames whatever their share: what is below the demo detector's cut took
        42 ms of an edge that took 48 for the whole.
        """
        wholes = tuple(self._wholes)
        most = max((share for share, _ in wholes), default=0.0)
        return percentile(
            [whole for share, whole in wholes if share >= NEARLY * most][-FRAMES:], 25)
