"""Tunes a robot's device node from the quality of its link, through the ROS parameter services."""

import platform
import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import ParameterEvent
from rclpy.node import Node
from rclpy.parameter import Parameter as Value
from rclpy.parameter import parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import qos_profile_parameter_events
from rclpy.task import Future

from intradp_ros.errors import IntraDPError
from intradp_ros.msg import FrameReport, LinkState, Plan
from intradp_ros.nodes import conversions, parameters, qos, rival
from intradp_ros.nodes.device_parameters import PIXEL_CODECS
from intradp_ros.nodes.managed_node import run
from intradp_ros.nodes.parameters import Parameter
from intradp_ros.planning import profile_cache, profile_file, tile_count
from intradp_ros.planning.link import LinkEstimate
from intradp_ros.planning.ownership import Ownership
from intradp_ros.planning.plan import Objective
from intradp_ros.planning.profile import Profile
from intradp_ros.runtime import modes
from intradp_ros.runtime.replan import Replanner, Wish

KEPT = (
    Parameter('mode', '', 'Mode to set on the device; empty: leave it', live=True,
              choices=('', *modes.NAMES)),
    Parameter('tile_count', 0, 'Tile count to set on the device; 0: tuned from the link',
              low=0, high=256, live=True),
    Parameter('codec', '', 'Codec to set on the device; empty: leave it', live=True,
              choices=('', *PIXEL_CODECS)),
    Parameter('window_bytes', 0, 'Window to set on the device; 0: leave it', 'bytes', 0, 2**30,
              live=True),
    Parameter('deadline_ms', 0.0, 'Deadline to set on the device; 0: leave it', 'ms', 0.0, 60000.0,
              live=True),
)
# What plans decide, and what they are asked for; all of it parameters of the device.
PLANNED = ('way', 'merge', 'device_share', 'halo_px')
ASKED = ('objective', 'hedge', 'max_map_drop', 'edge_speedup', 'message_bytes')
WATCHED = (*(p.name for p in KEPT), *PLANNED, *ASKED)
# A request that has not been answered for so long (seconds) never will be: the device was killed.
ANSWER = 5.0
TABLE = (
    *KEPT,
    Parameter('profile', '', 'Profile of the model on the robot, for modes by plan; empty: the '
              "one that the device left in the user's cache folder"),
    Parameter('device', 'device_node', 'Name of the device node, in this namespace or absolute'),
    Parameter('period', 1.0, 'Time between two looks at the link', 's', 0.1, 60.0),
)


class ParameterServer(Node):
    """
    Sets what it is asked to keep, plans (or tunes the tile count, in modes by hand), and leaves
    alone what an operator set.

    It may die and come back at any time: the device goes on with what it has.
    """

    def __init__(self, overrides: dict[str, object] | None = None, **options):
        super().__init__('parameter_server', parameter_overrides=[
            Value(key, value=value) for key, value in (overrides or {}).items()], **options)
        parameters.declare(self, TABLE, lambda: True)
        name = self.get_parameter('device').value
        namespace = self.get_namespace().rstrip('/')
        self._device = name if name.startswith('/') else f'{namespace}/{name}'
        self._client = AsyncParameterClient(self, self._device)
        self._owner = Ownership()
        self._link: LinkEstimate | None = None
        self._model, self._edge_seconds = '', 0.0
        self._replanner = Replanner()
        self._profile: Profile | None = None
        # What the device has: all that is watched, or nothing while that is not known.
        self._has: dict[str, object] = {}
        self._pending: Future | None = None
        self._asked = 0.0
        # Of the plan that is wanted, and of the last one that was published: fields of a Plan.
        self._rival: dict[str, object] = {}
        self._told_rival: dict[str, object] = {}
        self._reason = 'no link state yet'
        self._number = 0
        self._plans = self.create_publisher(Plan, 'intradp/plan', qos.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_subscription(LinkState, 'intradp/link', self._on_link, qos.LINK)
        self.create_subscription(FrameReport, 'intradp/report', self._on_report, qos.REPORTS)
        self.create_subscription(ParameterEvent, '/parameter_events', self._on_event,
                                 qos_profile_parameter_events)
        self.create_timer(self.get_parameter('period').value, self._tune)
        self.create_timer(1.0, self._publish_diagnostics)
        self.add_post_set_parameters_callback(self._on_own_change)

    # -- what comes in -------------------------------------------------------------------------

    def _on_link(self, message: LinkState) -> None:
        self._link = conversions.link_from_message(message)
        self._edge_seconds = message.edge_seconds
        if message.model != self._model:
            self._model, self._profile, self._replanner = message.model, None, Replanner()

    def _on_report(self, message: FrameReport) -> None:
        if message.plan == self._number:
            self._replanner.note(message, time.monotonic())

    def _on_event(self, event: ParameterEvent) -> None:
        if event.node != self._device:
            return
        if event.new_parameters:
            self._has.clear()  # the device has (re)started: look at it again
        for parameter in event.changed_parameters:
            value = parameter_value_to_python(parameter.value)
            if parameter.name not in WATCHED:
                continue
            if self._has:
                self._has[parameter.name] = value
            if parameter.name in ASKED:
                continue
            if self._owner.on_changed(parameter.name, value):
                self.get_logger().info(f'an operator set {parameter.name} to {value!r}; it stays '
                                       f'(to give it back: ros2 param set '
                                       f'{self.get_fully_qualified_name()} {parameter.name} ...)')

    def _on_own_change(self, changes: list[Value]) -> None:
        """Setting a parameter here says who it belongs to now: this server."""
        for change in changes:
            self._owner.release(change.name)

    # -- what goes out -------------------------------------------------------------------------

    def _wanted(self) -> dict[str, object]:
        self._rival = {}
        kept = {p.name: self.get_parameter(p.name).value for p in KEPT}
        wanted = {name: value for name, value in kept.items() if value}
        if self._link is None:
            return wanted
        if wanted.get('mode', self._has['mode']) not in modes.MANUAL:
            return self._planned(wanted) | wanted
        if 'tile_count' not in wanted:
            choice = tile_count.choose(self._link, self._has['tile_count'])
            wanted['tile_count'], self._reason = choice.tile_count, choice.reason
        return wanted

    def _planned(self, kept: dict[str, object]) -> dict[str, object]:
        """
        Plan with the robot's profile; without one the device is left to plan by itself.

        :param kept: what this server's own parameters say.
        """
        try:
            self._profile = self._profile or self._find_profile()
            if self._profile is None:
                self._reason = f'no profile of {self._model} here: the device plans by itself'
                return {}
            has = self._has | kept
            wish = Wish(has['mode'], Objective(has['objective'], has['deadline_ms'] / 1e3,
                                               hedge=modes.HEDGES[has['hedge']]),
                        has['max_map_drop'], has['edge_speedup'], has['message_bytes'])
            with self._replanner.working(time.monotonic):
                self._replanner.decide(self._profile, wish, self._link, self._edge_seconds,
                                       time.monotonic())
        except IntraDPError as error:
            self._reason = f'cannot plan: {error}'
            return {}
        decision = self._replanner.decision
        if decision is None:
            return {}  # it could not plan for this wish a moment ago, and the reason stands
        self._reason = decision.reason
        decided = {name: getattr(decision, name) for name in rival.DECIDED}
        # What is set by hand, here or on the device, a rival would not have.
        if not decided.keys() & (kept.keys() | self._owner.pinned.keys()):
            self._rival = rival.fields(decision.rival)
        return decided

    def _find_profile(self) -> Profile | None:
        if path := self.get_parameter('profile').value:
            return profile_file.load(Path(path).expanduser())
        name, _, fingerprint = self._model.partition('#')
        files = sorted(profile_cache.folder().glob(
            f'{name}-{fingerprint}-{platform.node()}-*.json'), key=lambda f: f.stat().st_mtime)
        return profile_file.load(files[-1]) if files and fingerprint else None

    def _tune(self) -> None:
        if not self._client.services_are_ready():
            self._forget_device()
            return
        if self._pending is not None:
            if time.monotonic() >= self._asked + ANSWER:
                self._forget_device()
            return
        self._asked = time.monotonic()
        if not self._has:
            self._ask(list(WATCHED))
            return
        changes = {name: value for name, value in self._wanted().items()
                   if value != self._has.get(name) and self._owner.request(name, value)}
        if changes:
            # All or none: a merge tensor of one plan and a way of another may not fit.
            self._pending = self._client.set_parameters_atomically(
                [Value(name, value=value) for name, value in changes.items()])
            self._pending.add_done_callback(lambda done: self._on_set(changes, done))
        elif not self._number or self._rival != self._told_rival:
            self._publish_plan()

    def _forget_device(self) -> None:
        """Look at the device again when it answers: it may be another by then."""
        self._has.clear()
        self._pending = None

    def _ask(self, names: list[str]) -> None:
        def answered(done: Future) -> None:
            self._pending = None
            if done.result() is not None:
                self._has.update(zip(names, map(parameter_value_to_python, done.result().values)))
                self._owner.on_seen(self._has)
        self._pending = self._client.get_parameters(names)
        self._pending.add_done_callback(answered)

    def _on_set(self, changes: dict[str, object], done: Future) -> None:
        self._pending = None
        if done.result() is None:
            return
        result = done.result().result
        if not result.successful:
            self.get_logger().warning(f'{self._device} refused {changes}: {result.reason}')
            return
        if not self._has:
            return  # the device has restarted meanwhile
        self._has |= changes
        self.get_logger().info(f'set {changes} of {self._device}: {self._reason}')
        self._publish_plan()

    def _publish_plan(self) -> None:
        self._number += 1
        self._told_rival = self._rival
        self._plans.publish(Plan(
            stamp=self.get_clock().now().to_msg(), number=self._number, reason=self._reason[:512],
            **{name: self._has[name] for name in (*PLANNED, *(p.name for p in KEPT))},
            **self._rival))

    def _publish_diagnostics(self) -> None:
        pinned = {f'pinned by an operator: {k}': v for k, v in self._owner.pinned.items()}
        array = DiagnosticArray(status=[conversions.diagnostic(
            f'{self.get_fully_qualified_name().lstrip("/")}: plan', self.get_namespace(),
            DiagnosticStatus.OK if self._has else DiagnosticStatus.WARN,
            self._reason if self._has else f'{self._device} does not answer',
            {'plan': self._number, **self._has, **pinned})])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(ParameterServer, args)
