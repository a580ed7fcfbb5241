"""Figures of a recording: what arrived, how late, how it was made and what it cost. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from testbed import spread

Stamp = tuple[int, int]


@dataclass
class Frame:
    """
    One processed image after the warm-up.

    `begin` is when it was published, `heard` when its detections came, once each (seconds,
    monotonic clock), `image` its number, `report` the device's FrameReport.
    """

    stamp: Stamp
    begin: float
    image: int
    report: dict
    heard: list[float] = field(default_factory=list)
    detections: dict | None = None

    @property
    def latency(self) -> float:
        """Milliseconds from the arrival of the image at the device to its detections."""
        return self.report['latency_ms']

    @property
    def round_trip(self) -> float:
        """Milliseconds from camera to whoever listens to detections; NaN if none came."""
        return (self.heard[0] - self.begin) * 1e3 if self.heard else math.nan


def frames(events: Iterable[dict]) -> list[Frame]:
    """Bring together what belongs to each image that was published between `begin` and `end`."""
    begun = False
    sent: dict[Stamp, dict] = {}
    found: dict[Stamp, Frame] = {}
    heard: dict[Stamp, list[dict]] = {}
    for event in events:
        kind, stamp = event['event'], tuple(event.get('stamp', ()))
        begun = kind == 'begin' or begun and kind != 'end'
        if kind == 'sent' and begun:
            sent[stamp] = event
        elif kind == 'report' and stamp in sent:
            found[stamp] = Frame(stamp, sent[stamp]['begin'], sent[stamp]['image'], event)
        elif kind == 'detections':
            heard.setdefault(stamp, []).append(event)
    for stamp, frame in found.items():
        frame.heard = [event['heard'] for event in heard.get(stamp, [])]
        frame.detections = heard[stamp][0] if frame.heard else None
    return sorted(found.values(), key=lambda frame: frame.report['frame'])


def watches(events: Iterable[dict]) -> list[list[dict]]:
    """
    Divide the events of one robot into those of each time that it was watched: from `begin` to the
    next one, as a message that comes after the end is of the frames before it.
    """
    found: list[list[dict]] = [[]]
    for event in events:
        if event['event'] == 'begin':
            found.append([])
        found[-1].append(event)
    return found


def delivery(events: Sequence[dict]) -> dict[str, int]:
    """
    Count detection messages that are missing, came twice, or came after a newer frame's.

    A processed frame of which neither report nor detections came leaves a gap in the numbers.
    """
    found: Counter[str] = Counter()
    for each in watches(events):
        processed = frames(each)
        numbers = [frame.report['frame'] for frame in processed]
        stamps = {frame.stamp for frame in processed}
        order = [tuple(event['stamp']) for event in each if event['event'] == 'detections'
                 and tuple(event['stamp']) in stamps]
        gaps = max(numbers) - min(numbers) + 1 - len(set(numbers)) if numbers else 0
        found.update(
            frames=len(processed), missing=gaps + sum(not frame.heard for frame in processed),
            duplicated=sum(max(0, len(frame.heard) - 1) for frame in processed),
            reordered=sum(b < a for a, b in zip(order, order[1:])))
    return dict(found)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Give mean, p5, p25, p50, p75, p95 and p99; all NaN of nothing."""
    if not len(values):
        return dict.fromkeys(('mean', 'p5', 'p25', 'p50', 'p75', 'p95', 'p99'), math.nan)
    return {'mean': float(np.mean(values))} | {
        f'p{q}': float(np.percentile(values, q)) for q in (5, 25, 50, 75, 95, 99)}


def weighted_percentiles(points: Sequence[tuple[float, float]], end: float) -> dict[str, float]:
    """
    Give mean, p50, p95 and p99 over time: a value counts for as long as it was the newest.

    :param points: (time, value), ascending.
    :param end: time at which the last one ends.
    """
    if not points:
        return dict.fromkeys(('mean', 'p50', 'p95', 'p99'), math.nan)
    times, values = np.array(points, float).T
    weights = np.diff(np.append(times, max(end, times[-1])))
    if not weights.sum():
        weights = np.ones(len(values))
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return {'mean': float(np.average(values, weights=weights))} | {
        f'p{q}': float(values[order][min(np.searchsorted(reached, q / 100), len(values) - 1)])
        for q in (50, 95, 99)}


def throughput(processed: Sequence[Frame]) -> float:
    """Frames a second, from the first image to the last detections."""
    heard = [frame.heard[0] for frame in processed if frame.heard]
    return len(heard) / (max(heard) - processed[0].begin) if heard else 0.0


def how(report: dict) -> str:
    """Say how a frame was made: its mode, the way where that is another word, who ended it."""
    way = report.get('way', report['mode'])
    mode = report['mode'] if way == report['mode'] else f'{report["mode"]} ({way})'
    return f'{mode}/{report["source"]}'


def summarize(events: Sequence[dict], used: dict[str, dict], crossed: Sequence[int]) -> dict:
    """
    Give the figures of one robot, of all times that it was watched together.

    :param used: figures by process between begin and end.
    :param crossed: bytes (up, down) that crossed the link meanwhile, headers included.
    """
    processed = frames(events)
    reports = [frame.report for frame in processed]
    count = max(1, len(processed))
    round_trips = [frame.round_trip for frame in processed if frame.heard]
    return delivery(events) | {
        'latency_ms': percentiles([frame.latency for frame in processed]),
        'latency_median_interval_ms': spread.interval([f.latency for f in processed]),
        'round_trip_ms': percentiles(round_trips),
        'round_trip_median_interval_ms': spread.interval(round_trips),
        'deadline_misses': sum(not report['deadline_met'] for report in reports),
        'modes': dict(Counter(map(how, reports))),
        'fallbacks': dict(Counter(r['reason'] for r in reports if r['fallback'])),
        'bytes_per_frame': sum(r['bytes'] for r in reports) / count,
        'link_bytes_per_frame': {'up': crossed[0] / count, 'down': crossed[1] / count},
        'images_dropped': sum(
            each[-1].report['images_dropped'] - each[0].report['images_dropped']
            for each in map(frames, watches(events)) if each),
        'stages_ms': {name: percentiles([r[name] for r in reports])['p50'] for name in (
            'preprocess_ms', 'device_ms', 'send_ms', 'edge_receive_ms', 'edge_wait_ms',
            'edge_compute_ms')},
        'cpu_ms_per_frame': {name: u['cpu'] / count * 1e3 for name, u in used.items()},
        'peak_memory': {name: u['peak_memory'] for name, u in used.items()},
    }
