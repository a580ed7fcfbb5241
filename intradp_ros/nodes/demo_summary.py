"""What the demo saw, counted and compared, as figures and pictures."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from intradp_ros import files
from intradp_ros.model import draw
from intradp_ros.model.accuracy import Truth, match
from intradp_ros.model.detector import Detections, Detector
from intradp_ros.runtime.wire import Report, Stamp
from intradp_ros.scenes.objects import CLASSES


@dataclass
class Record:
    """All that was seen of one processed frame."""

    report: Report
    image: np.ndarray | None = None
    truth: Detections | None = None
    detections: list[Detections] = field(default_factory=list)
    latency_ms: float = float('nan')


def summarize(records: dict[Stamp, Record], detector: Detector, ros_distro: str,
              rmw: str) -> tuple[dict, list[str]]:
    """
    Count the messages and compare each frame with the whole model, run here and now.

    :returns: the figures of summary.json, and in words whatever is wrong.
    """
    faults = []
    numbers = [r.report.frame for r in records.values()]
    # A frame of which nothing at all was heard leaves a gap in the numbers.
    gaps = max(numbers) - min(numbers) + 1 - len(set(numbers)) if numbers else 0
    duplicates = sum(max(0, len(r.detections) - 1) for r in records.values())
    missing = gaps + sum(not r.detections for r in records.values())
    if duplicates or missing:
        faults.append(f'{duplicates} detection messages too many, {missing} missing')
    differing = 0
    for stamp, record in tqdm(records.items(), 'comparing with the whole model', unit='frame',
                              leave=False):
        if record.image is None:
            difference = 'its image did not reach the observer'
        elif not record.detections:
            continue
        else:
            difference = record.detections[0].differs(detector.detect(record.image))
        if difference:
            differing += 1
            faults.append(f'frame {record.report.frame} ({stamp.sec}.{stamp.nanosec:09d}, '
                          f'{record.report.source}): {difference}')
    latencies = [r.latency_ms for r in records.values() if r.detections]
    p50, p95, p99 = np.percentile(latencies, [50, 95, 99]).round(2) if latencies else [0.0] * 3
    modes = Counter('fallback' if r.report.fallback else r.report.mode for r in records.values())
    # Class numbers of drawn scenes mean something to a detector of the same classes only.
    truths = [r for r in records.values() if r.truth is not None and r.detections
              and detector.labels == CLASSES]
    figures = {
        'frames': len(records),
        'detection_messages': sum(len(r.detections) for r in records.values()),
        'duplicates': duplicates,
        'missing': missing,
        'modes': dict(modes),
        'latency_ms': {'p50': float(p50), 'p95': float(p95), 'p99': float(p99)},
        'bytes_per_frame': _mean(records, 'bytes'),
        'tiles_per_frame': _mean(records, 'tiles'),
        'equal_to_whole_model': bool(records) and not differing,
        'model': detector.identity,
        'objects_per_frame': _mean(records, 'detections'),
        'visible_objects': sum(len(r.truth) for r in truths),
        'visible_objects_found': sum(
            int((match(Truth(r.truth.boxes, r.truth.labels), r.detections[0]) >= 0).sum())
            for r in truths),
        'fallback_reasons': dict(Counter(r.report.reason for r in records.values()
                                         if r.report.fallback)),
        'ros_distro': ros_distro,
        'rmw': rmw,
    }
    return figures, faults


def _mean(records: dict[Stamp, Record], name: str) -> float:
    """Average one field of the reports."""
    return round(float(np.mean([getattr(r.report, name) for r in records.values()] or [0])), 1)


def table(figures: dict, faults: list[str]) -> str:
    """Lay the figures out for a terminal."""
    latency = figures['latency_ms']
    rows = [
        ('model', figures['model']),
        ('frames processed', figures['frames']),
        ('detection messages', f'{figures["detection_messages"]} ({figures["duplicates"]} '
                               f'duplicates, {figures["missing"]} missing)'),
        ('latency, camera stamp to detections',
         '  '.join(f'{name} {value:.1f}' for name, value in latency.items()) + ' ms'),
        ('bytes, tiles and objects a frame', f'{figures["bytes_per_frame"]:.0f}, '
                                             f'{figures["tiles_per_frame"]:.1f}, '
                                             f'{figures["objects_per_frame"]:.1f}'),
        ('modes', ', '.join(f'{mode} {n}' for mode, n in figures['modes'].items())),
        ('equal to the whole model', 'yes' if figures['equal_to_whole_model'] else 'NO'),
        ('ROS 2 and middleware', f'{figures["ros_distro"]}, {figures["rmw"]}'),
    ]
    if figures['visible_objects']:
        share = figures['visible_objects_found'] / figures['visible_objects']
        rows.insert(5, ('visible objects found', f'{figures["visible_objects_found"]} of '
                                                 f'{figures["visible_objects"]} ({share:.0%})'))
    if figures['fallback_reasons']:
        rows.insert(-2, ('reasons of fallbacks', ', '.join(
            f'{reason} {n}' for reason, n in figures['fallback_reasons'].items())))
    width = max(len(name) for name, _ in rows)
    lines = [f'  {name:<{width}}  {value}' for name, value in rows]
    return '\n'.join(lines + [f'  ! {fault}' for fault in faults[:10]])


def save(out: Path, figures: dict, records: dict[Stamp, Record], labels: tuple[str, ...]) -> None:
    """
    Write summary.json and detections.png (annotated frames side by side), whole or not at
    all.
    """
    out.mkdir(parents=True, exist_ok=True)
    shown = [r for r in records.values() if r.image is not None and r.detections]
    if shown:
        chosen = [shown[i] for i in np.linspace(0, len(shown) - 1, min(6, len(shown))).astype(int)]
        pictures = [draw.annotate(r.image, r.detections[0], labels,
                                     f'frame {r.report.frame}, {r.report.source}, '
                                     f'{r.latency_ms:.0f} ms') for r in chosen]
        done, png = cv2.imencode('.png', cv2.cvtColor(draw.grid(pictures, 3),
                                                      cv2.COLOR_RGB2BGR))
        if done:
            files.write(out / 'detections.png', png.tobytes())
    files.write(out / 'summary.json', (json.dumps(figures, indent=2) + '\n').encode())
