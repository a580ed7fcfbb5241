"""
Bandwidth over time: read from files, or made by a seeded random walk.

A trace is a list of (seconds from its beginning, bytes a second), ascending, each value holding
until the next; 0 is an outage. Files are CSV with a head line, `t_s,MB/s`.
"""

import csv
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from intradp_ros.errors import ParameterError

Trace = list[tuple[float, float]]
STEP = 0.1


def read(path: Path, scale: float = 1.0) -> Trace:
    """
    Read a file; `scale` multiplies its bandwidths.

    :raises ParameterError: when it is not such a file, with the line.
    """
    trace: Trace = []
    try:
        with path.open(newline='') as file:
            rows = list(csv.reader(file))[1:]
    except OSError as error:
        raise ParameterError(f'cannot read {path}: {error}') from error
    for number, row in enumerate(rows, 2):
        try:
            time, rate = float(row[0]), float(row[1]) * 1e6 * scale
        except (IndexError, ValueError) as error:
            raise ParameterError(f'{path}, line {number}: two numbers expected, got '
                                 f'{row}') from error
        if rate < 0 or not math.isfinite(rate) or trace and time <= trace[-1][0]:
            raise ParameterError(f'{path}, line {number}: times must rise and bandwidths cannot '
                                 f'be below 0, got {row}')
        trace.append((time, rate))
    if not trace:
        raise ParameterError(f'{path} holds no bandwidths')
    return [(time - trace[0][0], rate) for time, rate in trace]


def write(trace: Trace, path: Path) -> None:
    """Write a file that `read` reads."""
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(('t_s', 'MB/s'))
        writer.writerows((f'{time:.3f}', f'{rate / 1e6:.4f}') for time, rate in trace)


def walk(seconds: float, mean: float, low: float, high: float, spread: float, memory: float,
         seed: int) -> Trace:
    """
    Make a bounded random walk that returns to its mean.

    The logarithm of the bandwidth is an Ornstein-Uhlenbeck process in steps of 0.1 s: it forgets
    where it was within `memory` seconds and strays from the mean's by `spread` (standard
    deviation of the natural logarithm); what leaves [low, high] stops there.

    :param mean: bytes a second, as low and high.
    :raises ParameterError: when low, mean and high do not ascend.
    """
    if not 0 < low <= mean <= high or seconds <= 0 or memory <= 0 or spread < 0:
        raise ParameterError(f'a walk needs 0 < low <= mean <= high, time and memory, got {low}, '
                             f'{mean}, {high}, {seconds} s and {memory} s')
    random = np.random.default_rng(seed)
    keep = math.exp(-STEP / memory)
    noise = spread * math.sqrt(1 - keep ** 2)
    value, trace = spread * random.standard_normal(), []
    for step in range(math.ceil(seconds / STEP - 1e-9)):
        rate = min(max(mean * math.exp(value), low), high)
        trace.append((round(step * STEP, 6), float(rate)))
        value = keep * value + noise * random.standard_normal()
    return trace


def wifi(seconds: float, seed: int) -> Trace:
    """Make an indoor Wi-Fi link: 10 MB/s in the middle, fast changes (fading, others' traffic)."""
    return walk(seconds, 10e6, 0.5e6, 30e6, 0.5, 1.0, seed)


def lte(seconds: float, seed: int) -> Trace:
    """Make a cellular uplink: 2.5 MB/s in the middle, slow and deep changes (cell load, way)."""
    return walk(seconds, 2.5e6, 0.1e6, 8e6, 0.8, 5.0, seed)


def with_outages(trace: Trace, gaps: Sequence[float], seed: int) -> Trace:
    """
    Cut a trace by outages of given lengths (seconds) at random moments, in random order.

    Each gets an equal part of the trace and lies wholly within it, so none touch.

    :raises ParameterError: when they do not fit.
    """
    if not gaps:
        return list(trace)
    part = length(trace) / len(gaps)
    if max(gaps) >= part:
        raise ParameterError(f'an outage of {max(gaps)} s does not fit into each of {len(gaps)} '
                             f'parts of {part:.1f} s')
    random = np.random.default_rng(seed)
    for number, gap in enumerate(random.permutation(np.asarray(gaps, float))):
        begin = part * number + float(random.uniform(0, part - gap))
        trace = _with_level(trace, begin, begin + gap, 0.0)
    return trace


def roaming(trace: Trace, seed: int) -> Trace:
    """Cut a trace by the gaps of changes of access point: 0.1, 0.5 and 3 s, each twice."""
    return with_outages(trace, (0.1, 0.5, 3.0) * 2, seed)


def with_bursts(trace: Trace, every: float, seconds: float, factor: float, seed: int) -> Trace:
    """
    Let somebody else take the link now and then.

    :param every: mean seconds between two bursts (exponential); each lasts `seconds` and leaves
        `factor` of the bandwidth.
    """
    random = np.random.default_rng(seed)
    begin, end, busy = float(random.exponential(every)), length(trace), trace
    while begin < end:
        until = begin + seconds
        busy = [(t, r * factor if begin <= t < until else r)
                for t, r in _with_points(busy, (begin, until))]
        begin = until + float(random.exponential(every))
    return busy


def length(trace: Trace) -> float:
    """Give the seconds that a trace lasts; its last value holds as long as the one before."""
    if len(trace) == 1:
        return STEP
    return trace[-1][0] + trace[-1][0] - trace[-2][0]


def at(trace: Trace, time: float) -> float:
    """Bandwidth at a time; before its beginning that of its beginning."""
    rate = trace[0][1]
    for begin, value in trace:
        if begin > time:
            break
        rate = value
    return rate


def coarse(trace: Trace, step: float = STEP) -> Trace:
    """Keep what changes, and no two changes within a step: for what cannot follow any faster."""
    kept = trace[:1]
    for time, rate in trace[1:]:
        if rate == kept[-1][1]:
            continue
        if time - kept[-1][0] >= step or 0.0 in (rate, kept[-1][1]):
            kept.append((time, rate))
    return kept


def mean(trace: Trace) -> float:
    """Mean bandwidth over time, bytes a second."""
    ends = [time for time, _ in trace[1:]] + [length(trace)]
    return sum((end - begin) * rate for (begin, rate), end in zip(trace, ends)) / ends[-1]


def _with_points(trace: Trace, times: Sequence[float]) -> Trace:
    """Give the same trace with points at some more times within its length."""
    known, end = dict(trace), length(trace)
    return sorted((known | {t: at(trace, t) for t in times
                            if t < end and t not in known}).items())


def _with_level(trace: Trace, begin: float, end: float, rate: float) -> Trace:
    return [(t, rate if begin <= t < end else r) for t, r in _with_points(trace, (begin, end))]


def steps(trace: Trace) -> list[tuple[float, float]]:
    """Give (seconds that it holds, bytes a second) pairs."""
    times = [*(time for time, _ in trace), length(trace)]
    return [(b - a, rate) for (a, b), (_, rate) in zip(pairwise(times), trace)]
