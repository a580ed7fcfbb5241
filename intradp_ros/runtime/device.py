"""
The device's session: camera frames in, exactly one result a frame out.

Threads meet here and none waits for another but on purpose: those of the caller (`submit`;
`on_ack` and `on_detections`: never block), the inference thread (`_run`), and the sender thread. A
frame ends once, by whoever claims its job first: the edge's answer, the local result, or, where
the image is divided, whoever has the second of its two parts.

A frame is computed from the top and sent from the bottom (`frontier`), and then to its end here
(`local`) unless the edge's answer comes first; every way to run it is a limit case of that.
"""

import random
import statistics
import threading
from collections import deque
from collections.abc import Callable
from functools import cache, lru_cache, partial

import numpy as np

from intradp_ros.errors import ImageError
from intradp_ros.model.detector import Detections, Detector, Geometry
from intradp_ros.planning.link import LinkEstimate
from intradp_ros.runtime.divided import DevicePart
from intradp_ros.runtime.edge_times import EdgeTimes
from intradp_ros.runtime.exploration import RETRY_PERIOD, Explorer
from intradp_ros.runtime.frontier import Layout, layout
from intradp_ros.runtime.goodput import LinkEstimator
from intradp_ros.runtime.job import FIRST, Job
from intradp_ros.runtime.local import finish, head_share, stages
from intradp_ros.runtime.mailbox import Mailbox
from intradp_ros.runtime.offer import Offer
from intradp_ros.runtime.patience import patience
from intradp_ros.runtime.sender import Sender
from intradp_ros.runtime.settings import DeviceSettings, Outlets
from intradp_ros.runtime.wire import Ack, AckState, CameraFrame, Report, Stamp
from intradp_ros.tiling.engine import Engine, Frame, warm_up
from intradp_ros.tiling.part import Division
from intradp_ros.tiling.split import offload

# Local inference starts this factor of its own usual time before the deadline.
MARGIN = 1.25
# A link that carries less than this share of what it did when the frame was begun, and will take
# this long (seconds), is not waited for where the device is sooner alone, as far as
# acknowledgements show. A frame that waits looks after so many seconds, then after twice as many
# each time, up to the second figure: looking takes the robot's core from what is waited for.
SLOWED, LONG, FIRST_LOOK, LAST_LOOK = 0.5, 0.25, 0.02, 0.1
# The edge says what a frame took there right after its detections; so long (seconds) the report
# waits for it: it may be lost.
LAST_WORD = 0.02


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
        # Why the edge is not waited for, '' while it answers; and till when it is not believed.
        self.edge_fault = ''
        self._retry = float('-inf')
        self._explorer = Explorer(offload(self._graph), lambda: self.edge_alive,
                                  self._link_is_sooner)
        self._local_times = deque(warm_up(self._engine, clock), maxlen=9)
        self._edge_times = EdgeTimes()
        self._layouts = lru_cache(16)(partial(layout, self._graph))
        self._stages = lru_cache(16)(partial(stages, self._graph))
        self._head_share = lru_cache(16)(partial(head_share, self._graph))
        self._part = DevicePart(detector, self._engine)
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
        job, now = self._job, self._clock()
        self._sender.on_ack(ack)
        if job and ack.frame == job.number:
            job.on_ack(ack, now)
            if ack.state is AckState.DONE:
                self._edge_times.note(ack.compute_ms / 1e3, self._edges_share(job),
                                      ack.postprocess_ms / 1e3)
        if ack.state is AckState.DONE or (
                ack.state is AckState.RECEIVING and now >= self._retry):
            self.edge_fault = ''

    def _edges_share(self, job: Job) -> float:
        """Share of the model's work, postprocessing apart, that a frame left to the edge."""
        if job.frontier is None:
            return 0.0
        plan = job.frontier.layout
        # Of a divided image, the rows that the edge sees; else all but what came before.
        return 1 - plan.ends[0] / plan.ends[-1] if job.division else \
            1 - self._head_share(plan.merge) * job.frontier.device_rows / plan.ends[-1]

    def on_detections(self, stamp: Stamp, detections: Detections) -> None:
        """Take the edge's detections; those of a frame that has ended are of no use any more."""
        job = self._job
        if job and job.offered and stamp == job.camera.stamp:
            self.edge_fault = ''
            if job.division:
                self._join(job, 'edge', detections)
            else:
                self._end(job, 'edge', detections)

    def link(self) -> LinkEstimate:
        """Give the link's figures over the last frames."""
        return self._links.estimate()

    def edge_seconds(self) -> float:
        """
        Give the time of the whole model on the edge in seconds, postprocessing apart; 0 while it
        is not known.
        """
        return self._edge_times.whole()

    def close(self) -> None:
        """End both threads; a frame in work is given up."""
        self.mailbox.close()
        if job := self._job:
            job.claim()
            job.changed.set()
        self._thread.join()
        self._sender.close()

    # -- inference thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while (frame := self.mailbox.take()) is not None:
            try:
                answered = self.answered
                settings = self._explorer.choose(self.settings, self._clock(),
                                                 bool(self.edge_fault))
                self._process(frame, settings)
                self._explorer.note(self._clock(), self.answered > answered,
                                    statistics.median(self._local_times))
            except ImageError as error:
                self.rejected += 1
                self._outlets.warn(f'image rejected: {error}')
            except Exception as error:  # one frame must never end the node
                self._outlets.warn(f'frame failed: {type(error).__name__}: {error}')

    def _link_is_sooner(self) -> bool:
        rate = self._sender.flow.rate
        return rate > 0 and \
            self.detector.input_bytes / rate < statistics.median(self._local_times)

    def _process(self, camera: CameraFrame, settings: DeviceSettings) -> None:
        begin = self._clock()
        image = camera.decode()
        pixels, geometry = self.detector.preprocess(image)
        merge = settings.split.merge
        report = Report(
            camera.stamp, self.number, self._frames, settings.plan, settings.mode, settings.way,
            '' if settings.way == 'local' else self._graph.tensors[merge].name,
            age_ms=camera.age * 1e3, queue_ms=(begin - camera.arrival) * 1e3,
            deadline_ms=settings.deadline_ms,
            preprocess_ms=(self._clock() - begin) * 1e3,
            images_received=self.mailbox.received, images_dropped=self.mailbox.dropped,
            images_rejected=self.rejected)
        self._frames += 1
        job = self._job = Job(camera, image, report)

        @cache
        def frame() -> Frame:
            # Begun when something is computed: what is sent does not wait for it.
            begun = self._engine.start(outputs=(), keep=(*self._graph.outputs, merge))
            begun.feed(self._graph.input, 0, len(pixels), pixels)
            return begun
        try:
            if settings.way != 'local':
                if self._outlets.edge_matched():
                    self._ask_edge(job, pixels, geometry, frame, settings)
                else:
                    job.reason = 'no edge'
            if not job.ended.is_set():
                self._finish_here(job, frame(), geometry, settings)
        finally:
            self._hand_over(job)

    def _hand_over(self, job: Job) -> None:
        """Give the result of a frame that has ended, once the edge has had its last word on it."""
        with self._ending:  # its detections may be on their way out
            result = job.result
        if result and result.report.source != 'device':
            job.told.wait(LAST_WORD)
        if job.offered:
            self._links.on_frame_end(job.transfer, self._sender.end(job))
        if final := job.final():
            self._outlets.result(final)

    def _ask_edge(self, job: Job, pixels: np.ndarray, geometry: Geometry,
                  frame: Callable[[], Frame], settings: DeviceSettings) -> None:
        """
        Give the edge the frame, compute what the device takes of it, and wait for the answer as
        far as the settings want that.

        An edge of which nothing has been heard for a while costs a message now and then (`Flow`),
        and nobody waits for it.
        """
        job.division = settings.division
        plan = self._layout(settings)
        message_bytes = self.link().message_limit(settings.message_bytes)
        offer = Offer(job, pixels, plan, self.detector.identity, settings.codec,
                      message_bytes, lambda: self._sender.flow.rate, settings.most_bytes)
        rate = self._sender.flow.rate
        job.offered, job.progress = True, self._clock()
        self._explorer.offered = job.progress
        self._sender.begin(job, offer.next, message_bytes, settings.window_bytes,
                           settings.reliable)
        if job.division:
            self._compute_part(job, pixels, geometry, job.division)
        merge = self._graph.tensors[plan.merge]
        while not job.changed.is_set() and (number := offer.frontier.take_top()) is not None:
            begin, (a, b) = self._clock(), plan.band(number)
            frame().compute(merge.id, a, b)
            rows = frame().peek(merge.id, a, b)[0].permute(1, 2, 0).cpu().numpy()
            spent = self._clock() - begin
            offer.add(a, rows, spent)
            self._sender.wake()
            job.report.device_ms += spent * 1e3
        job.report.hedged = settings.hedge
        if not settings.hedge and not self.edge_fault:
            self._wait(job, offer, rate)

    def _layout(self, settings: DeviceSettings) -> Layout:
        if settings.division:
            return self._part.rows_for_edge(settings.division, settings.tile_count)
        return self._layouts(settings.split, settings.tile_count, settings.way == 'meeting')

    def _compute_part(self, job: Job, pixels: np.ndarray, geometry: Geometry,
                      division: Division) -> None:
        """Compute the device's part of a divided image, unless the edge will not do its own."""
        if self.edge_fault:
            return
        begin = self._clock()
        found = self._part.compute(division, pixels, geometry, job.changed.is_set)
        job.report.device_ms += (self._clock() - begin) * 1e3
        if found is not None:
            self._join(job, 'device', found)

    def _join(self, job: Job, source: str, detections: Detections) -> None:
        if parts := job.add_part(source, detections):
            self._end(job, 'both', self.detector.join(parts))

    def _wait(self, job: Job, offer: Offer, rate: float) -> None:
        """
        Wait while the edge may still be in time, and for no longer than it usually takes.

        :param rate: bytes a second that the link carried when the frame was begun.
        """
        # The part of a divided image is of no use for the whole.
        done = 0.0 if job.division else job.report.device_ms / 1e3
        local = MARGIN * statistics.median(self._local_times) - done
        deadline = job.camera.arrival + job.report.deadline_ms / 1e3 - max(0.0, local)
        usual, look = None, FIRST_LOOK
        while not job.changed.is_set():
            flow, given_up = self._sender.flow, float('inf')
            usual = usual or self._edge_times.frame(self._edges_share(job))
            if usual is not None:
                if 0 < flow.rate < SLOWED * rate:
                    left = self._sender.bytes_left() + offer.bytes_left
                    if left / flow.rate > max(local, LONG):
                        job.report.hedged = True
                        return
                given_up = max(job.progress, flow.unheard_since) + patience(
                    flow.round_trip, flow.bytes_in_flight, flow.rate, usual)
            wait = min(deadline, given_up) - self._clock()
            if wait <= 0:
                return
            job.changed.wait(min(wait, look))
            look = min(2 * look, LAST_LOOK)

    def _finish_here(self, job: Job, frame: Frame, geometry: Geometry,
                     settings: DeviceSettings) -> None:
        """Compute what is still missing, until that is done or the edge's answer has come."""
        plan = job.frontier.layout if job.frontier else None
        job.report.hedged &= not job.refused
        begin, before = self._clock(), job.report.device_ms if job.division else 0.0
        rest = self._stages(plan.merge if plan else self._graph.input)
        for _ in finish(frame, plan, rest):
            if job.ended.is_set():
                job.report.device_ms += (self._clock() - begin) * 1e3
                return
        detections = self.detector.postprocess(frame.outputs(), geometry)
        job.report.device_ms += (self._clock() - begin) * 1e3
        self._local_times.append((job.report.device_ms - before) / 1e3)
        if job.offered:
            job.reason = self._why_alone(job)
        if self._end(job, 'device', detections) and job.offered:
            self._note_absence(job)

    def _why_alone(self, job: Job) -> str:
        """Say why the edge's answer was not the first."""
        if job.refused:
            return f'edge refused: {job.refused}'
        now = self._clock()
        if job.report.hedged and (job.transfer.heard or not self._sender.flow.silent(now)):
            return FIRST
        return 'edge silent'

    def _note_absence(self, job: Job) -> None:
        self.unanswered += 1
        if job.reason == FIRST:
            return
        if not self.edge_fault:
            self._outlets.warn(f'frame {job.number}: {job.reason}; the device finishes it')
            self._retry = self._clock() + RETRY_PERIOD
        self.edge_fault = job.reason

    def _end(self, job: Job, source: str, detections: Detections) -> bool:
        """
        Publish a frame's one set of detections, unless it has been; the lock keeps frames in their
        order.
        """
        with self._ending:
            if not job.claim():
                return False
            try:
                if source != 'device':
                    self.answered += 1
                job.complete(source, detections, self._clock())
                self._outlets.detections(job.camera.stamp, detections)
            finally:
                job.changed.set()
            return True
