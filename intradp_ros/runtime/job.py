"""
One frame on the device: whoever has its detections first publishes them, and nobody after that.
"""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from intradp_ros.model.detector import Detections
from intradp_ros.runtime.frontier import Frontier
from intradp_ros.runtime.goodput import FrameTransfer
from intradp_ros.runtime.wire import Ack, AckState, CameraFrame, FrameResult, Report
from intradp_ros.tiling.part import Division

# Why a frame that the edge was given was answered here: nothing is wrong with the edge.
FIRST = 'device was first'


@dataclass
class Job:
    """
    A frame in work.

    `offered` says that the edge was given this frame, `frontier` who computes which part of it,
    `progress` when the edge last said something about it. `division` says that each side computes
    a part of the image, and `lossless` that nothing of what the edge was sent has lost anything.
    `ended` is set by whoever claims the frame, and `changed` when its detections are out, or the
    edge will not answer: the inference thread waits for it rather than for a time, and what it
    does then does not hold detections up. `told` is set when the edge has said what the frame
    took there, which may come after its detections.
    """

    camera: CameraFrame
    image: np.ndarray
    report: Report
    offered: bool = False
    frontier: Frontier | None = None
    division: Division | None = None
    lossless: bool = True
    progress: float = 0.0
    reason: str = ''
    refused: str = ''
    transfer: FrameTransfer = field(default_factory=FrameTransfer)
    changed: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    told: threading.Event = field(default_factory=threading.Event)
    result: FrameResult | None = None
    _done: Ack | None = None
    _parts: dict[str, Detections] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _indices: Iterator[int] = field(default_factory=itertools.count)

    @property
    def number(self) -> int:
        """Number of the frame within its session."""
        return self.report.frame

    def next_index(self) -> int:
        """Give the index of the frame's next message."""
        return next(self._indices)

    def claim(self) -> bool:
        """Win the right to end this frame, and the duty to set `changed`: True exactly once."""
        with self._lock:
            if self.ended.is_set():
                return False
            self.ended.set()
            return True

    def add_part(self, source: str, detections: Detections) -> tuple[Detections, ...]:
        """
        Take the detections of one side of a divided image; give both to whoever comes second.

        :returns: (the device's, the edge's) exactly once, else ().
        """
        with self._lock:
            if source in self._parts:
                return ()
            self._parts[source] = detections
            return (self._parts['device'], self._parts['edge']) if len(self._parts) == 2 else ()

    def on_ack(self, ack: Ack, now: float) -> None:
        """Note what the edge says about this frame."""
        self.progress = now
        self.report.acknowledged = max(self.report.acknowledged, ack.messages)
        if ack.state is AckState.DONE:
            self._done = ack
            self.told.set()
        elif ack.state is AckState.REFUSED:
            self.refused = ack.reason or 'no reason given'
            self.changed.set()

    def complete(self, source: str, detections: Detections, now: float) -> None:
        """Make the result of a frame that has just been claimed."""
        report, sent = self.report, list(self.transfer.sent)
        latency_ms = (now - self.camera.arrival) * 1e3
        own = source == 'device'
        device_rows, edge_rows = self._rows()
        report = replace(
            report, source=source, fallback=own and bool(self.reason) and self.reason != FIRST,
            reason=self.reason if own else '',
            device_rows=device_rows, edge_rows=edge_rows,
            exact=own or (self.lossless and not self.division),
            halo_px=self.division.halo if self.division else 0,
            resent=self.transfer.resent,
            detections=len(detections), latency_ms=latency_ms,
            deadline_met=latency_ms <= report.deadline_ms,
            messages=len(sent), bytes=sum(s.size for s in sent),
            send_ms=sum(s.end - s.begin for s in sent) * 1e3)
        self.result = FrameResult(self.camera.stamp, detections, report, self.image)

    def final(self) -> FrameResult | None:
        """Give the result with what the edge has said by now of its work; None without one."""
        if self.result is None or self._done is None:
            return self.result
        done, report = self._done, self.result.report
        return replace(self.result, report=replace(
            report, acknowledged=max(report.acknowledged, done.messages),
            edge_receive_ms=done.receive_ms, edge_wait_ms=done.wait_ms,
            edge_compute_ms=done.compute_ms))

    def _rows(self) -> tuple[int, int]:
        """Rows that the device computed for the frame, and those that were left to the edge."""
        if self.frontier is None:
            return 0, 0
        if self.division:
            return self.division.cut, self.frontier.layout.ends[-1] - self.division.cut
        return self.frontier.device_rows, self.frontier.edge_rows
