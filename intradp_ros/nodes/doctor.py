"""
Looks at a running system from either side, and says what is wrong and what cures it.

One node listens for some seconds (diagnostics, link states, reports), asks our nodes for their
lifecycle state and parameters, and lets the functions of doctor_host and doctor_system judge.
"""

import os
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import rclpy
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import QoSCompatibility, ReliabilityPolicy, qos_check_compatible
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_rmw_implementation_identifier

from intradp_ros.msg import FrameReport, LinkState
from intradp_ros.nodes import conversions, doctor_host, doctor_system, qos
from intradp_ros.nodes.doctor_host import FAULT, HINT, OK, Finding
from intradp_ros.nodes.doctor_system import Seen

TILE = 'intradp_ros/msg/Tile'
ASKED = {'device': (*doctor_system.MODEL, 'mode', 'reliable_tiles'), 'edge': doctor_system.MODEL}
DISCOVERY = 6.0  # seconds: participants announce themselves every three (Fast DDS)
PATIENCE = 3.0  # for the answer to a service call, seconds


class Doctor(Node):
    """
    Collects; judges nothing but QoS, which the graph tells.

    :param edge: namespace of the edge to look at; '': every edge.
    """

    def __init__(self, edge: str = '', **options):
        super().__init__('intradp_doctor', **options)
        self._spinner = SingleThreadedExecutor(context=self.context)
        self._spinner.add_node(self)
        self._edge = f'/{edge.strip("/")}' if edge else ''
        self.links: dict[str, LinkState] = {}
        self.reports: dict[str, list[FrameReport]] = {}
        self._ages: dict[str, list[float]] = {}
        self._figures: dict[str, tuple[str, dict[str, str]]] = {}
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def listen(self, seconds: float) -> None:
        """Find a device and an edge, for which DDS may take a while; then hear all for seconds."""
        self._spin(lambda: {role for _, role in self._names()} == {'device', 'edge'}, DISCOVERY)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for robot in self.robots():
                if robot not in self.reports:
                    self._follow(robot)
            self._spin(lambda: False, min(0.5, until - time.monotonic()))

    def robots(self) -> list[str]:
        """Namespaces in which somebody publishes or processes frames."""
        return sorted({name.rpartition('/')[0] for name, role in self._names()
                       if role == 'device'})

    def look(self) -> list[Seen]:
        """Ask each of our nodes for its state and parameters."""
        return [self._ask(name, role) for name, role in self._names()]

    def qos(self, nodes: set[str]) -> Iterator[Finding]:
        """Find pairs of endpoints that will never hear each other, or read another type."""
        for topic, _ in self.get_topic_names_and_types():
            publishers = self.get_publishers_info_by_topic(topic)
            subscriptions = [s for s in self.get_subscriptions_info_by_topic(topic)
                             if s.node_name != self.get_name()]
            ours = [p for p in publishers if _full(p) in nodes] + [
                s for s in subscriptions if _full(s) in nodes]
            if not ours:
                continue
            faults = [fault for p in publishers for s in subscriptions
                      if _full(p) in nodes or _full(s) in nodes
                      for fault in _mismatch(topic, p, s)]
            yield from faults
            if publishers and subscriptions and not faults:
                yield Finding(OK, topic, f'{len(publishers)} publishers and {len(subscriptions)} '
                              f'subscriptions fit together')

    def wiring(self, nodes: list[Seen], rmw: str) -> Iterator[Finding]:
        """Find active devices whose camera is not there or hardly heard, or without an edge."""
        for node in nodes:
            if node.role != 'device' or node.state != 'active':
                continue
            root = node.name.rpartition('/')[0]
            cameras = [c for t in ('image', 'image/compressed')
                       for c in self.get_publishers_info_by_topic(f'{root}/{t}')]
            if not cameras:
                yield Finding(FAULT, node.name, f'nobody publishes {root}/image',
                              'start the camera, or name its topic: launch argument image:=TOPIC '
                              '(ros2 topic list -t shows them)')
            if rmw.startswith('rmw_fastrtps') and not os.environ.get(doctor_host.PROFILE) and any(
                    c.qos_profile.reliability is ReliabilityPolicy.BEST_EFFORT for c in cameras):
                yield Finding(HINT, node.name, 'its camera publishes best effort: Fast DDS loses '
                              'most images larger than its 512 KB of shared memory', 'a reliable '
                              'camera, or ' + doctor_host.PROFILE_CURE)
            if node.parameters.get('mode') != 'local' and any(
                    n.role == 'edge' and n.state == 'active' for n in nodes) and \
                    not self.count_subscribers(f'{root}/intradp/tiles'):
                yield Finding(FAULT, node.name, 'no edge serves it, although one is active',
                              f'add {root or "/"} to the edge\'s parameter robots, or raise its '
                              f'max_robots (its log says which)')

    # -- collecting ----------------------------------------------------------------------------

    def _names(self) -> list[tuple[str, str]]:
        """Our lifecycle nodes, with their roles; twice what is there twice."""
        roles = {'device_node': 'device', 'edge_node': 'edge'}
        for topic, types in self.get_topic_names_and_types():
            if TILE in types:  # nodes may have been renamed
                roles |= {p.node_name: 'device' for p in self.get_publishers_info_by_topic(topic)}
                roles |= {s.node_name: 'edge'
                          for s in self.get_subscriptions_info_by_topic(topic)
                          if s.node_name not in roles}
        found = []
        for name, namespace in sorted(self.get_node_names_and_namespaces()):
            role = roles.get(name)
            if role and not (role == 'edge' and self._edge and namespace != self._edge):
                found.append((f'{namespace.rstrip("/")}/{name}', role))
        return found

    def _follow(self, robot: str) -> None:
        heard = self.reports.setdefault(robot, [])
        self.create_subscription(FrameReport, f'{robot}/intradp/report', heard.append, qos.REPORTS)
        self.create_subscription(LinkState, f'{robot}/intradp/link',
                                 lambda state: self.links.update({robot: state}), qos.LINK)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        now = self.get_clock().now()
        for status in array.status:
            name = '/' + status.name.partition(':')[0]
            self._ages.setdefault(name, []).append(
                conversions.age(array.header, now))
            self._figures[name] = status.message, {v.key: v.value for v in status.values}

    def _ask(self, name: str, role: str) -> Seen:
        seen = Seen(name, role)
        client = self.create_client(GetState, f'{name}/get_state')
        for _ in range(4):  # the shortest of some is the one that nothing held up
            begin = time.monotonic()
            answer = self._call(client, GetState.Request())
            if answer is None:
                break
            seen.state = answer.current_state.label
            seen.round_trip = min(seen.round_trip, time.monotonic() - begin)
        self.destroy_client(client)
        if seen.state:
            client = self.create_client(GetParameters, f'{name}/get_parameters')
            answer = self._call(client, GetParameters.Request(names=list(ASKED[role])))
            if answer is not None:
                seen.parameters = dict(zip(ASKED[role],
                                           map(parameter_value_to_python, answer.values)))
            self.destroy_client(client)
            self._spin(lambda: name in self._figures, PATIENCE)  # where listening was too short
            seen.summary, figures = self._figures.get(name, ('', {}))
            seen.model, seen.ages = figures.get('model', ''), self._ages.get(name, [])
        return seen

    def _call(self, client, request):
        """Call a service; None when nobody answers in time."""
        if not self._spin(client.service_is_ready, PATIENCE):
            return None
        done = client.call_async(request)
        return done.result() if self._spin(done.done, PATIENCE) else None

    def _spin(self, condition: Callable[[], bool], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not condition():
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._spinner.spin_once(timeout_sec=min(0.05, left))
        return True


def _full(endpoint) -> str:
    return f'{endpoint.node_namespace.rstrip("/")}/{endpoint.node_name}'


def _mismatch(topic: str, publisher, subscription) -> Iterator[Finding]:
    who = f'{_full(publisher)} (publisher) and {_full(subscription)} (subscription)'
    if publisher.topic_type != subscription.topic_type or (
            publisher.topic_type_hash != subscription.topic_type_hash):
        yield Finding(FAULT, topic, f'{who} have different types of {publisher.topic_type}',
                      'build the same version of the package on both machines')
        return
    verdict, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
    if verdict == QoSCompatibility.ERROR:
        asked = 'reliability, durability, deadline and liveliness'
        yield Finding(FAULT, topic, f'{who} never connect: {reason.strip("; ")}',
                      f'publish with at least what is asked for ({asked}), or ask for less; ours '
                      f'are in README: Topics')


def _middleware() -> tuple[str, Finding]:
    name = get_rmw_implementation_identifier()
    try:
        file = Path(get_package_share_directory(name)) / 'package.xml'
        version = ElementTree.parse(file).findtext('version') or '?'
    except (PackageNotFoundError, OSError, ElementTree.ParseError):
        version = 'of unknown version'
    profile = os.environ.get(doctor_host.PROFILE) or os.environ.get('CYCLONEDDS_URI') or ''
    text = (f'{name} {version}, ROS 2 {os.environ.get("ROS_DISTRO", "?")}'
            + (f', settings {profile}' if profile else '')
            + f', security {os.environ.get("ROS_SECURITY_ENABLE") or "off"}')
    if profile.endswith('.xml') and not Path(profile.removeprefix('file://')).is_file():
        return name, Finding(FAULT, 'middleware', f'{text}: there is no such file',
                             doctor_host.PROFILE_CURE)
    if not name.startswith(('rmw_fastrtps', 'rmw_cyclonedds')):
        return name, Finding(HINT, 'middleware', f'{text}: not tried with this package',
                             'export RMW_IMPLEMENTATION=rmw_fastrtps_cpp on both sides')
    return name, Finding(OK, 'middleware', f'{text}; the other side needs the same')


def examine(seconds: float = 5.0, edge: str = '') -> list[Finding]:
    """
    Look at this machine and at every robot and edge of the ROS domain.

    :param seconds: to listen for; diagnostics come once a second.
    :param edge: namespace of the edge to look at; '': every edge.
    """
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    doctor = Doctor(edge, context=context)
    try:
        doctor.listen(seconds)
        nodes = doctor.look()
        rmw, middleware = _middleware()
        frame = max((s.frame_bytes for s in doctor.links.values()), default=0)
        found = [middleware,
                 *doctor_host.check(os.environ, rmw, frame or doctor_host.FRAME_BYTES),
                 *doctor_system.states(nodes, edge), *doctor.wiring(nodes, rmw),
                 *doctor.qos({n.name for n in nodes}), *doctor_system.models(nodes),
                 *doctor_system.clocks(nodes)]
        for node in nodes:
            robot = node.name.rpartition('/')[0]
            if node.role != 'device' or node.state != 'active':
                continue
            if robot in doctor.links:
                found += doctor_system.link(robot or '/', node.name, doctor.links[robot],
                                            node.parameters.get('mode'),
                                            node.parameters.get('reliable_tiles'))
            found += doctor_system.frames(robot or '/', node.name,
                                          doctor.reports.get(robot, []), seconds)
        return found
    finally:
        doctor.destroy_node()
        context.try_shutdown()
