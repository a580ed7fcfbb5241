"""
The device's session: camera frames in, exactly one result a frame out.

Three threads meet here and none waits for another but on purpose: the caller's executor (`submit`,
`on_ack`, `on_detections`: never block), the inference thread (`_run`), and the sender thread. A
frame ends once, by whoever claims its job first: the edge's answer or the local result.
"""

import random
import statistics
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from intradp_ros.errors import ImageError
from intradp_ros.model.detector import Detections, Detector, Geometry
from intradp_ros.planning.link import LinkEstimate, LinkEstimator
from intradp_ros.runtime.job import Job
from intradp_ros.runtime.mailbox import Mailbox
from intradp_ros.runtime.sender import Sender
from intradp_ros.runtime.wire import (
    Ack,
    AckState,
    CameraFrame,
    FrameResult,
    Report,
    Stamp,
    Tile,
)
from intradp_ros.tiling import codec, tiles
from intradp_ros.tiling.engine import Engine, Frame, warm_up
from intradp_ros.tiling.split import Split

# Local inference starts this factor of its own usual time before the deadline.
MARGIN = 1.25
# An edge that did not answer is tried again this often (seconds); nobody waits for it until it
# answers.
PROBE_PERIOD = 0.5


@dataclass(frozen=True)
class DeviceSettings:
    """
    What may change between two frames; see the parameter table of the device node.

    `split` says what mode 'split' computes here; in mode 'offload' that is nothing.
    """

    mode: str = 'offload'
    tile_count: int = 8
    codec: str = 'uint8'
    deadline_ms: float = 300.0
    message_bytes: int = 60000
    split: Split = Split(0, 0, 0)
    plan: int = 0


@dataclass(frozen=True)
class Outlets:
    """
    Where a session's output goes.

    `tile` is called by the sender thread and may block; the others are called by any thread and
    must not. `edge_matched` says whether any edge listens.
    """

    tile: Callable[[Tile], None]
    result: Callable[[FrameResult], None]
    warn: Callable[[str], None]
    edge_matched: Callable[[], bool]


class DeviceSession:
    """
    Runs from construction (which warms the model up) to `close`.

    :param clock: monotonic seconds.
    """

    def __init__(self, detector: Detector, settings: DeviceSettings, outlets: Outlets,
                 clock: Callable[[], float]):
        self.detector = detector
        self._graph = detector.graph
        self._engine = Engine(detector.graph, detector.device)
        self.settings = settings
        self.number = random.getrandbits(64)
        self.answered = 0
        self.unanswered = 0
        self.rejected = 0
        self.mailbox: Mailbox[CameraFrame] = Mailbox()
        self._outlets = outlets
        self._clock = clock
        self._frames = 0
        self._job: Job | None = None
        self._ending = threading.Lock()
        self._links = LinkEstimator()
        # Why the edge is not waited for, '' while it answers; and when it was last given a frame.
        self.edge_fault = ''
        self._probed = float('-inf')
        self._local_times = deque(warm_up(self._engine, clock), maxlen=9)
        self._sender = Sender(outlets.tile, clock, lambda e: outlets.warn(f'cannot publish: {e}'))
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)
        self._thread.start()

    @property
    def edge_alive(self) -> bool:
        """True while an edge is matched and answered the last frame that it was given."""
        return not self.edge_fault and self._outlets.edge_matched()

    def submit(self, frame: CameraFrame) -> None:
        """Take a camera frame; it replaces one that still waits. Never blocks."""
        self.mailbox.put(frame)

    def on_ack(self, ack: Ack) -> None:
        """Take an acknowledgement from the edge."""
        if ack.session != self.number:
            return
        job = self._job
        if job and ack.frame == job.number:
            job.on_ack(ack, self._clock())
        if ack.state is AckState.DONE:
            self.edge_fault = ''

    def on_detections(self, stamp: Stamp, detections: Detections) -> None:
        """Take the edge's detections; those of a frame that has ended are of no use any more."""
        job = self._job
        if job and job.offered and stamp == job.camera.stamp:
            self.edge_fault = ''
            if self._end(job, 'edge', detections):
                self.answered += 1

    def link(self) -> LinkEstimate:
        """Give the link's figures over the last frames."""
        return self._links.estimate()

    def close(self) -> None:
        """End both threads; a frame in work is given up."""
        self.mailbox.close()
        if job := self._job:
            job.claim()
        self._thread.join()
        self._sender.close()

    # -- inference thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while (frame := self.mailbox.take()) is not None:
            try:
                self._process(frame, self.settings)
            except ImageError as error:
                self.rejected += 1
                self._outlets.warn(f'image rejected: {error}')
            except Exception as error:  # one frame must never end the node
                self._outlets.warn(f'frame failed: {type(error).__name__}: {error}')

    def _process(self, camera: CameraFrame, settings: DeviceSettings) -> None:
        begin = self._clock()
        image = camera.decode()
        pixels, geometry = self.detector.preprocess(image)
        report = Report(
            camera.stamp, self.number, self._frames, settings.plan, settings.mode,
            age_ms=camera.age * 1e3, deadline_ms=settings.deadline_ms,
            preprocess_ms=(self._clock() - begin) * 1e3,
            images_received=self.mailbox.received, images_dropped=self.mailbox.dropped,
            images_rejected=self.rejected)
        self._frames += 1
        job = self._job = Job(camera, image, report)
        frame = self._engine.start(outputs=(), keep=(*self._graph.outputs, settings.split.merge))
        frame.feed(self._graph.input, 0, len(pixels), pixels)
        if settings.mode != 'local':
            job.reason = self._ask_edge(job, pixels, frame, settings)
        if not job.ended.is_set():
            self._finish_here(job, frame, geometry)
        if job.offered:
            self._links.on_frame_end(job.transfer)

    def _ask_edge(self, job: Job, pixels: np.ndarray, frame: Frame,
                  settings: DeviceSettings) -> str:
        """Give the edge the frame and wait as long as that makes sense; say why it was in vain."""
        if not self._outlets.edge_matched():
            return 'no edge'
        now = self._clock()
        if self.edge_fault and now < self._probed + PROBE_PERIOD:
            return self.edge_fault
        self._probed = now
        self._send(job, pixels, frame, settings)
        if not self.edge_fault:
            local = MARGIN * statistics.median(self._local_times)
            patience = job.camera.arrival + settings.deadline_ms / 1e3 - local - self._clock()
            job.changed.wait(max(0.0, patience))
            if job.ended.is_set():
                return ''
            self.edge_fault = f'edge refused: {job.refused}' if job.refused else 'edge silent'
            self.unanswered += 1
            self._outlets.warn(f'frame {job.number}: {self.edge_fault}; the device finishes it')
        return self.edge_fault

    def _send(self, job: Job, pixels: np.ndarray, frame: Frame, settings: DeviceSettings) -> None:
        """
        Cut, compute and encode; the sender thread publishes what is there while more is made.

        Raw rows wait in the sender's queue, and bands of the merge tensor overtake them: the link
        is never idle, and what the device has computed is never held up.
        """
        job.offered = True
        split, coder = settings.split, codec.find(settings.codec)
        merge = self._graph.tensors[split.merge]
        job.report.edge_rows = merge.rows - split.device_rows
        raw = pixels[split.raw_begin:]
        share = len(raw) / len(pixels)
        if len(raw):
            for a, b in tiles.bands(len(raw), round(settings.tile_count * share)):
                self._put(job, settings, coder, 0, raw[a:b], split.raw_begin + a, urgent=False)
        if split.device_rows:
            begin = self._clock()
            for a, b in tiles.bands(split.device_rows, settings.tile_count):
                if job.changed.is_set():
                    return
                frame.compute(merge.id, a, b)
                rows = frame.peek(merge.id, a, b)[0].permute(1, 2, 0).cpu().numpy()
                job.report.device_rows = b
                self._put(job, settings, codec.find('float32'), merge.id, rows, a, urgent=True)
            job.report.device_ms += (self._clock() - begin) * 1e3

    def _put(self, job: Job, settings: DeviceSettings, coder: codec.Codec, tensor: int,
             rows: np.ndarray, begin: int, urgent: bool) -> None:
        """Queue one tile, in as many messages as it takes."""
        job.report.tiles += 1
        height, width = job.image.shape[:2]
        for piece in tiles.pieces(rows, begin, coder, settings.message_bytes):
            self._sender.put(job, Tile(
                job.camera.stamp, self.detector.identity, self.number, job.number, settings.plan,
                job.next_index(), tensor, piece.row_begin, piece.row_end, coder.number, height,
                width, piece.data), urgent)

    def _finish_here(self, job: Job, frame: Frame, geometry: Geometry) -> None:
        """
        Compute what is still missing: rows of the merge tensor that are there are not
        done again.
        """
        begin = self._clock()
        for tensor in self._graph.outputs:
            frame.compute(tensor, 0, self._graph.tensors[tensor].rows)
        detections = self.detector.postprocess(frame.outputs(), geometry)
        spent = self._clock() - begin
        if not job.report.device_rows:
            self._local_times.append(spent)
        job.report.device_ms += spent * 1e3
        self._end(job, 'device', detections)

    def _end(self, job: Job, source: str, detections: Detections) -> bool:
        """
        Publish a frame's one result, unless it has been; the lock keeps frames in their
        order.
        """
        with self._ending:
            if not job.claim():
                return False
            report = job.complete(source, detections, self._clock())
            self._outlets.result(FrameResult(job.camera.stamp, detections, report, job.image))
            return True
