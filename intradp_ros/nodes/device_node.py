"""The robot's side: camera images in, exactly one Detection2DArray a processed frame out."""

import time
from collections import Counter
from dataclasses import replace

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as Value
from rclpy.subscription import MessageInfo
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from intradp_ros.errors import ParameterError, TileError
from intradp_ros.model import draw
from intradp_ros.model.detector import Detections, Detector
from intradp_ros.msg import EdgeDetections, FrameReport, LinkState, Plan, Tile, TileAck
from intradp_ros.nodes import conversions, events, models, parameters, qos, rival
from intradp_ros.nodes.device_parameters import LIVE, TABLE
from intradp_ros.nodes.image_subscription import ImageSubscription
from intradp_ros.nodes.managed_node import ManagedNode, run
from intradp_ros.nodes.periodic import Periodic
from intradp_ros.nodes.profiles import profile_of
from intradp_ros.nodes.receiver import Apart, Receiver
from intradp_ros.planning.plan import Objective
from intradp_ros.runtime import modes, processor
from intradp_ros.runtime.device import DeviceSession, DeviceSettings, Outlets
from intradp_ros.runtime.modes import Decision
from intradp_ros.runtime.power import EnergyMeter
from intradp_ros.runtime.replan import PlanningThread, Wish
from intradp_ros.runtime.rolling import Rolling
from intradp_ros.runtime.wire import CameraFrame, FrameResult, Stamp


class DeviceNode(ManagedNode):
    """Thin: converts messages, and leaves all decisions to the DeviceSession."""

    def __init__(self, **options):
        super().__init__('device_node', TABLE, **options)
        self.session: DeviceSession | None = None
        self._plan = 0
        # The device's own plan, and the rival of the parameter server's.
        self._decision: Decision | None = None
        self._rival: Decision | None = None
        self.add_on_set_parameters_callback(self._judge_split)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Create publishers: cheap, no model yet."""
        self._detections = self.create_publisher(Detection2DArray, 'detections', qos.DETECTIONS)
        self._reports = self.create_publisher(FrameReport, 'intradp/report', qos.REPORTS)
        self._links = self.create_publisher(LinkState, 'intradp/link', qos.LINK)
        self._labels = self.create_publisher(LabelInfo, 'label_info', qos.LATCHED)
        self._pictures = self.create_publisher(Image, 'detections/image', qos.image(True))
        self._tiles = self.create_publisher(
            Tile, 'intradp/tiles', qos.tiles(self.value('reliable_tiles')),
            event_callbacks=events.of_publisher(self, 'intradp/tiles'),
            qos_overriding_options=qos.overridable())
        return super().on_configure(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy what on_configure created."""
        for publisher in (self._detections, self._reports, self._links, self._labels,
                          self._pictures, self._tiles):
            self.destroy_publisher(publisher)
        return super().on_cleanup(state)

    def start_work(self) -> None:
        """Build the model, then listen."""
        detector = models.build(self)
        self._decision = self._rival = None
        self._energy = EnergyMeter()
        self.session = DeviceSession(detector, self._settings(detector), Outlets(
            tile=lambda tile: self._tiles.publish(conversions.message_from_tile(tile)),
            detections=self._publish,
            result=self._account,
            warn=self.warn,
            edge_matched=lambda: self._tiles.get_subscription_count() > 0), time.monotonic)
        session = self.session
        self._latencies, self._missed = Rolling(time.monotonic()), 0
        self._made: Counter[str] = Counter()  # frames by way and source
        self._planner = PlanningThread(
            lambda: profile_of(self.get_logger(), detector, self.value('profile'),
                               self.value('threads')),
            self._wish, lambda: (session.link(), session.edge_seconds()), self._decided, self.warn)
        self._labels.publish(conversions.label_info(
            detector.labels, self.value('score_threshold'),
            Header(stamp=self.get_clock().now().to_msg())))
        apart = Apart()
        heard = [
            self.create_subscription(
                EdgeDetections, 'intradp/edge_detections', self._on_detections, qos.DETECTIONS,
                callback_group=apart),
            self.create_subscription(
                TileAck, 'intradp/acks', self._on_ack, qos.ACKS, callback_group=apart,
                event_callbacks=events.of_subscription(self, 'intradp/acks'))]
        self._receiver = Receiver(self, heard, self.failed)
        self._entities = [
            *heard, self.create_subscription(Plan, 'intradp/plan', self._on_plan, qos.LATCHED)]
        self._images = ImageSubscription(self, self.value('image_transport'), self._on_image,
                                         self.failed)
        self._periodic = Periodic({self._publish_link: 0.2, self._images.follow: 0.5},
                                  self.failed)

    def stop_work(self) -> None:
        """Free the model and stop listening."""
        if self.session is None:
            return
        self._periodic.close()
        self._run_calls()  # a camera that was to be followed
        self._planner.close()
        self._receiver.close()
        self._images.close()
        self.session.close()
        self._run_calls()  # pictures that were on their way to the executor
        self.session = None
        self._energy.close()
        for entity in self._entities:
            self.destroy_subscription(entity)

    def apply_parameters(self) -> None:
        """Hand live parameters to the session; it takes them over at the next frame."""
        if self.session is not None:
            self.session.settings = self._settings(self.session.detector)

    def _judge_split(self, changes: list[Value]) -> SetParametersResult:
        """Refuse a split that the model at work does not have, or a division that it cannot."""
        if self.session is not None:
            try:
                self._settings(self.session.detector, {c.name: c.value for c in changes})
            except ParameterError as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _settings(self, detector: Detector,
                  changes: dict[str, object] | None = None) -> DeviceSettings:
        """Read the live parameters; raises ParameterError for what the model cannot do."""
        read = parameters.values(self, LIVE)
        read |= {name: value for name, value in (changes or {}).items() if name in read}
        mode, way, merge, share = (read.pop(n) for n in ('mode', 'way', 'merge', 'device_share'))
        halo = read.pop('halo_px')
        hedge, goal = read.pop('hedge'), read.pop('objective')
        read.pop('edge_speedup')
        max_map_drop = read.pop('max_map_drop')
        by_hand = mode in modes.MANUAL
        hedged = (mode in modes.OURS or hedge == 'always') and modes.hedges(
            Objective(goal, hedge=modes.HEDGES[hedge]), processor.is_shared())
        base = DeviceSettings(mode, plan=self._plan, explore=not by_hand,
                              reliable=self.value('reliable_tiles'), **read)
        if by_hand or way:
            compared = self._rival if mode in modes.OURS and not hedged else None
            decision = Decision(
                mode if by_hand else way, merge, read['tile_count'], read['codec'], share,
                halo_px=halo, rival=compared and modes.allowed(compared, mode, detector.name,
                                                               max_map_drop))
        else:
            decision = modes.allowed(self._decision, mode, detector.name, max_map_drop) \
                if self._decision else \
                Decision('offload', '', read['tile_count'], read['codec'])
        if 'divided' in (decision.way, decision.rival and decision.rival.way):
            detector.check_joining()
        return modes.carried_out(replace(decision, hedge=hedged), base, detector.graph)

    # -- planning without a parameter server (on the planner's thread) -------------------------

    def _wish(self) -> Wish | None:
        """Say what to plan for; None while somebody else decides."""
        mode = self.value('mode')
        if mode in modes.MANUAL or self.value('way'):
            return None
        objective = Objective(self.value('objective'), self.value('deadline_ms') / 1e3,
                              hedge=modes.HEDGES[self.value('hedge')])
        return Wish(mode, objective,
                    self.value('max_map_drop'), self.value('edge_speedup'),
                    self.value('message_bytes'))

    def _decided(self, decision: Decision) -> None:
        def take_over():
            self._decision = decision
            self.get_logger().info(f'plan: {decision.reason}')
            self.apply_parameters()
        self.post(take_over)

    # -- what comes in: images and what the edge sends on receivers' threads, plans on the
    # -- executor's ------------------------------------------------------------------------------

    def _on_image(self, image: Image | CompressedImage, info: MessageInfo) -> None:
        decode = conversions.rgb_from_image if isinstance(image, Image) else \
            conversions.rgb_from_compressed
        age = conversions.age(image.header, self.get_clock().now())
        self.session.submit(CameraFrame(conversions.stamp_from(image.header), time.monotonic(),
                                        age, lambda: decode(image)))

    def _on_ack(self, message: TileAck, info: MessageInfo) -> None:
        try:
            self.session.on_ack(conversions.ack_from_message(message))
        except TileError as error:
            self.warn(str(error))

    def _on_detections(self, message: EdgeDetections, info: MessageInfo) -> None:
        try:
            self.session.on_detections(conversions.stamp_from(message.header),
                                       conversions.edge_detections_from_message(message))
        except TileError as error:
            self.warn(f'intradp/edge_detections: {error}')

    def _on_plan(self, plan: Plan) -> None:
        """
        Remember the plan's number and rival; its values come as parameters, where each is judged.
        """
        self._plan = plan.number
        try:
            self._rival = rival.read(plan)
            self.apply_parameters()
        except ParameterError as error:
            self._rival = None
            self.apply_parameters()
            self.warn(f'intradp/plan: {error}')

    # -- what goes out: detections at once, by whoever has them; reports by the inference thread;
    # -- the rest on the executor's -------------------------------------------------------------

    def _publish(self, stamp: Stamp, detections: Detections) -> None:
        if self.context.ok():  # after a shutdown there is nobody to hear it
            self._detections.publish(conversions.message_from_detections(
                detections, conversions.header_from(stamp)))

    def _account(self, result: FrameResult) -> None:
        if not self.context.ok():
            return
        report = result.report
        report.energy_j = self._energy.joules() or 0.0
        self._planner.note(report)
        self._latencies.add(time.monotonic(), report.latency_ms)
        self._missed += not report.deadline_met
        self._made[f'frames by {report.way}, from the {report.source}'] += 1
        self._reports.publish(conversions.message_from_report(report))
        if self._pictures.get_subscription_count():
            self.post(lambda: self._draw(result))

    def _draw(self, result: FrameResult) -> None:
        picture = draw.annotate(result.image, result.detections, self.session.detector.labels,
                                result.report.source)
        self._pictures.publish(conversions.image_from_rgb(
            picture, conversions.header_from(result.stamp)))

    def _publish_link(self) -> None:
        if not self._links.get_subscription_count():
            return
        session = self.session
        header = Header(stamp=self.get_clock().now().to_msg())
        self._links.publish(conversions.message_from_link(
            session.link(), header, session.edge_alive, session.answered, session.unanswered,
            f'{session.detector.name}#{session.detector.graph.fingerprint}',
            session.edge_seconds()))

    def figures(self) -> tuple[bytes, str, dict[str, object]]:
        """Say how it goes."""
        session, link = self.session, self.session.link()
        mode = self.value('mode')
        silent = session.settings.way != 'local' and not session.edge_alive
        division = session.settings.division
        return (
            DiagnosticStatus.WARN if silent else DiagnosticStatus.OK,
            'the device computes alone: ' + (session.edge_fault or 'no edge') if silent
            else f'mode {mode}' + (f', inexact: divided with a halo of {division.halo} px'
                                   if division else ''),
            {'mode': mode, 'way': session.settings.way,
             'halo [px]': division.halo if division else '', 'plan': self._decision.reason
             if self._decision else '', 'model': session.detector.identity,
             'images received': session.mailbox.received,
             'images dropped': session.mailbox.dropped, 'images rejected': session.rejected,
             'frames answered by the edge': session.answered,
             'frames finished alone': session.unanswered,
             **self._latencies.figures(time.monotonic(), 'frame', 'latency'),
             'deadline misses': self._missed, **self._made,
             'goodput [MB/s]': link.goodput / 1e6, 'round trip [ms]': link.round_trip * 1e3,
             'loss': link.loss})


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(DeviceNode, args)
