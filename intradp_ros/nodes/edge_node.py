"""
The edge server's side: tiles of any number of robots in, detections and acknowledgements out.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import MessageInfo, Subscription
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from intradp_ros.model.detector import Detections
from intradp_ros.msg import EdgeDetections, Tile, TileAck
from intradp_ros.nodes import conversions, events, models, qos
from intradp_ros.nodes.managed_node import ManagedNode, run
from intradp_ros.nodes.parameters import Parameter
from intradp_ros.nodes.receiver import Apart, Receiver
from intradp_ros.runtime.edge import EdgeOutlets, EdgeSession
from intradp_ros.runtime.rolling import Rolling
from intradp_ros.runtime.wire import Ack, AckState, Stamp

TILES = '/intradp/tiles'
# No message waits longer for this node's executor (seconds).
LONGEST_WAIT = 1.0

TABLE = (
    *models.MODEL,
    # An empty list has no type in ROS: a list of one empty text stands for it.
    Parameter('robots', [''], 'Namespaces of the robots to serve, such as /robot; [""]: every one '
              'that publishes intradp/tiles'),
    Parameter('max_robots', 16, 'Most robots served at a time: bounds the memory',
              low=1, high=256),
    Parameter('workers', 1, 'Robots whose frames are computed at the same time, each by a worker '
              'with `threads` CPU threads of its own; the others take turns. More than one is '
              'of use only with several robots and more cores than `threads`', low=1, high=64),
)


@dataclass
class Robot:
    """What belongs to one robot's namespace."""

    tiles: Subscription
    receiver: Receiver
    acks: Publisher
    answers: Publisher  # the device's
    detections: Publisher  # the same, for others
    reliable: bool
    work: Rolling  # ms of a worker's time a frame


class EdgeNode(ManagedNode):
    """Thin: finds robots, converts messages, and leaves the rest to the EdgeSession."""

    def __init__(self, **options):
        super().__init__('edge_node', TABLE, **options)
        self.session: EdgeSession | None = None
        self.robots: dict[str, Robot] = {}

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Create publishers: cheap, no model yet."""
        self._labels = self.create_publisher(LabelInfo, 'label_info', qos.LATCHED)
        return super().on_configure(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy what on_configure created."""
        self.destroy_publisher(self._labels)
        return super().on_cleanup(state)

    def start_work(self) -> None:
        """Build the model, then look for robots."""
        detector = models.build(self)
        self.session = EdgeSession(
            detector, EdgeOutlets(self._publish_ack, self._publish_result, self.warn),
            time.monotonic, self.value('workers'))
        self._work = Rolling(time.monotonic())
        self._labels.publish(conversions.label_info(
            detector.labels, self.value('score_threshold'),
            Header(stamp=self.get_clock().now().to_msg())))
        self._finder = self.create_timer(0.2, self._find_robots)

    def stop_work(self) -> None:
        """Free the model and leave the robots."""
        if self.session is None:
            return
        for robot in self.robots.values():
            robot.receiver.close()  # a tile that comes now would find no session
        self.session.close()
        self.session = None
        self.destroy_timer(self._finder)
        for name in list(self.robots):
            self._leave(name)

    # -- robots --------------------------------------------------------------------------------

    def _find_robots(self) -> None:
        """Serve each namespace in which somebody publishes tiles, as it publishes them."""
        wanted = [name for name in self.value('robots') if name]
        for topic, types in self.get_topic_names_and_types():
            if not topic.endswith(TILES) or 'intradp_ros/msg/Tile' not in types:
                continue
            name = topic.removesuffix(TILES) or '/'
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers or (wanted and name not in wanted):
                if name in self.robots:
                    self._leave(name)
                continue
            reliable = all(p.qos_profile.reliability is ReliabilityPolicy.RELIABLE
                           for p in publishers)
            if name in self.robots and self.robots[name].reliable == reliable:
                continue
            if name not in self.robots and len(self.robots) >= self.value('max_robots'):
                self.warn(f'robot {name} is not served: there are {len(self.robots)} already '
                          f'(parameter max_robots)')
                continue
            if name in self.robots:
                self._leave(name)
            self._serve(name, topic, reliable)

    def _serve(self, name: str, topic: str, reliable: bool) -> None:
        root = topic.removesuffix(TILES)
        tiles = self.create_subscription(
            Tile, topic, lambda message, info: self._on_tile(name, message, info),
            qos.tiles(reliable), callback_group=Apart(),
            event_callbacks=events.of_subscription(self, topic),
            qos_overriding_options=qos.overridable())
        self.robots[name] = Robot(
            tiles, Receiver(self, [tiles], lambda error: self.warn(
                f'robot {name}: cannot take a tile: {type(error).__name__}: {error}')),
            self.create_publisher(TileAck, f'{root}/intradp/acks', qos.ACKS),
            self.create_publisher(EdgeDetections, f'{root}/intradp/edge_detections',
                                  qos.DETECTIONS),
            self.create_publisher(Detection2DArray, f'{root}/edge/detections', qos.DETECTIONS),
            reliable, Rolling(time.monotonic()))
        self.get_logger().info(f'serving robot {name}')

    def _leave(self, name: str) -> None:
        robot = self.robots.pop(name)
        robot.receiver.close()
        self.destroy_subscription(robot.tiles)
        for publisher in (robot.acks, robot.answers, robot.detections):
            self.destroy_publisher(publisher)
        if self.session is not None:
            self.session.forget(name)
        self.get_logger().info(f'robot {name} has left')

    # -- messages: of a robot's receiver, of the session's threads ------------------------------

    def _on_tile(self, name: str, message: Tile, info: MessageInfo) -> None:
        # How long this process was busy says nothing of the link. Not every middleware stamps
        # arrivals (0 then), and the wall clock may jump.
        waited = (time.time_ns() - info['received_timestamp']) / 1e9
        self.session.on_tile(name, conversions.tile_from_message(message),
                             waited if 0 < waited < LONGEST_WAIT else 0.0)

    def _publish_ack(self, name: str, ack: Ack) -> None:
        if (robot := self.robots.get(name)) is None:
            return
        self._publish(robot.acks, conversions.message_from_ack(ack))
        if ack.state is AckState.DONE:
            for work in (self._work, robot.work):
                work.add(time.monotonic(), ack.compute_ms)

    def _publish_result(self, name: str, stamp: Stamp, detections: Detections) -> None:
        if (robot := self.robots.get(name)) is None:
            return
        header = conversions.header_from(stamp)
        self._publish(robot.answers, conversions.message_from_edge_detections(detections, header))
        self._publish(robot.detections, lambda: conversions.message_from_detections(
            detections, header))

    def _publish(self, publisher: Publisher, message: TileAck | EdgeDetections |
                 Callable[[], Detection2DArray]) -> None:
        """Publish a message; one that is still to be made only where somebody listens."""
        try:
            if not callable(message):
                publisher.publish(message)
            elif publisher.get_subscription_count():
                publisher.publish(message())
        except rclpy_implementation.InvalidHandle:
            pass  # the robot has just left
        except rclpy_implementation.RCLError as error:
            if self.context.ok():
                self.warn(f'cannot publish: {error}')

    def figures(self) -> tuple[bytes, str, dict[str, object]]:
        """Say how it goes."""
        now = time.monotonic()
        figures: dict[str, object] = {'model': self.session.detector.identity,
                                      **self._work.figures(now, 'frame', 'compute')}
        for name, robot in self.robots.copy().items():
            figures |= {f'{name} {what}': figure
                        for what, figure in robot.work.figures(now, 'frame', 'compute').items()}
        for name, robot in self.session.robots.copy().items():
            figures |= {f'{name} {what}': count for what, count in robot.counts.items()}
        return DiagnosticStatus.OK, f'serving {len(self.robots)} robots', figures


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(EdgeNode, args)
