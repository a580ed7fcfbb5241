"""
How far medians would be elsewhere, had the same been measured again: bootstrap by turns.

Frames of one turn were made within seconds, and a shared machine is another one some minutes
later: frames that are drawn one by one would promise far too narrow an interval. So turns are
drawn first, and then frames within them (two-stage bootstrap for clustered data: Davison and
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

DRAWS = 1000


def interval(frames: Sequence[float], turns: int = 1) -> tuple[float, float]:
    """
    Give the 95 % interval of a median.

    :param frames: a figure of each frame, in the order of turns, about as many in each. With one
        turn it is the plain bootstrap (Efron 1979, percentile method).
    :returns: lower and upper end; NaN of nothing.
    """
    return _interval(_medians(frames, turns)) if len(frames) else (math.nan, math.nan)


def ratio_interval(above: Sequence[float], below: Sequence[float], turns: int
                   ) -> tuple[float, float]:
    """
    Give the 95 % interval of a ratio of two medians whose methods had their turns together: a
    draw takes the same turns of both.
    """
    if not len(above) or not len(below):
        return math.nan, math.nan
    return _interval(_medians(above, turns) / _medians(below, turns, 2))


def best_elsewhere(methods: Mapping[str, Sequence[float]], turns: int) -> list[float]:
    """
    Give the frames of the best method, where it is the other turns that say which one that is.

    The least of ten medians is less than what any of ten equal methods takes: it is the one that
    was lucky. Its luck in some turns says nothing of another one (cross-validation: Hastie et al.,
    The Elements of Statistical Learning, 2009, section 7.10).

    :param methods: frames of each as in `interval`; at least two turns.
    """
    parts = {name: _turns(frames, turns) for name, frames in methods.items()}
    found: list[float] = []
    for turn in range(turns):
        def elsewhere(name: str, turn: int = turn) -> float:
            return float(np.median(np.concatenate(parts[name][:turn] + parts[name][turn + 1:])))
        found += parts[min(parts, key=elsewhere)][turn].tolist()
    return found


def _turns(frames: Sequence[float], turns: int) -> list[np.ndarray]:
    return np.array_split(np.asarray(frames, float), min(turns, len(frames)))


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _medians(frames: Sequence[float], turns: int, seed: int = 1) -> np.ndarray:
    parts = _turns(frames, turns)
    # The same turns for all, but not the same frames.
    drawn = np.random.default_rng(0).integers(len(parts), size=(DRAWS, len(parts)))
    random = np.random.default_rng(seed)
    return np.array([np.median(np.concatenate([random.choice(parts[k], len(parts[k]))
                                               for k in turn])) for turn in drawn])
