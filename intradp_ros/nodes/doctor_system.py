"""What `intradp doctor` thinks of what it saw of nodes, models, clocks, links and frames."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from intradp_ros.msg import FrameReport, LinkState
from intradp_ros.nodes.doctor_host import FAULT, HINT, OK, Finding

# A clock that errs more than this (seconds) spoils what others do with stamps (tf, filters).
SKEW = 0.1
LOSS = 0.01
# Parameters that make a model what it is, in the order of asking.
MODEL = ('model', 'weights', 'seed', 'input_size', 'score_threshold', 'max_detections')


@dataclass
class Seen:
    """One of our nodes: role 'device' or 'edge', and what it told the doctor."""

    name: str
    role: str
    state: str = ''
    model: str = ''
    summary: str = ''
    parameters: dict[str, object] = field(default_factory=dict)
    ages: list[float] = field(default_factory=list)  # of its diagnostics by its stamps, seconds
    round_trip: float = float('inf')  # the shortest of a service call, seconds


def states(nodes: Sequence[Seen], edge: str = '') -> Iterator[Finding]:
    """Judge which nodes are there, and in which lifecycle state."""
    reach = ('start it; is it there already: the same ROS_DOMAIN_ID and RMW_IMPLEMENTATION, '
             'ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET on both machines, and no firewall on UDP '
             'ports 7400 to 32900 (ufw allow proto udp from ADDRESS)')
    if not any(n.role == 'device' for n in nodes):
        yield Finding(FAULT, 'nodes', 'no robot is found', 'ros2 launch intradp_ros '
                      f'robot.launch.py namespace:=robot image:=/camera/image_raw, or {reach}')
    if not any(n.role == 'edge' for n in nodes):
        yield Finding(FAULT, 'nodes', f'no edge is found{f" in namespace {edge}" if edge else ""}',
                      f'ros2 launch intradp_ros edge.launch.py, or {reach}')
    for name, count in Counter(n.name for n in nodes).items():
        if count > 1:
            yield Finding(FAULT, name, f'there are {count} nodes of this name',
                          'give each robot a namespace of its own: namespace:=robot2')
    for node in nodes:
        if node.state == 'active':
            yield Finding(OK, node.name, f'{node.role}, active: {node.summary or "says nothing"}')
        elif not node.state:
            yield Finding(FAULT, node.name, 'does not answer', 'it may be building its model '
                          '(seconds): ask again; then look into its log, end and start it')
        else:
            step = 'activate' if node.state == 'inactive' else 'configure'
            yield Finding(FAULT, node.name, f'is {node.state}, so it does nothing',
                          f'ros2 lifecycle set {node.name} {step} (its log says why it is not '
                          f'active)')


def models(nodes: Sequence[Seen]) -> Iterator[Finding]:
    """Hold the models of devices against those of the edges."""
    edges = [n for n in nodes if n.role == 'edge' and n.model]
    for device in (n for n in nodes if n.role == 'device' and n.model):
        if not edges or any(e.model == device.model for e in edges):
            yield Finding(OK, device.name, f'model {device.model}')
            continue
        edge = edges[0]
        other = {p: (device.parameters.get(p), edge.parameters.get(p)) for p in MODEL
                 if device.parameters.get(p) != edge.parameters.get(p)}
        if other:
            name, (here, there) = next(iter(other.items()))
            text = ', '.join(f'{p} {a!r} and {b!r}' for p, (a, b) in other.items())
            cure = (f'ros2 lifecycle set {edge.name} deactivate; ros2 param set {edge.name} '
                    f'{name} {here!r}; ros2 lifecycle set {edge.name} activate')
        else:
            text = 'with the same parameters, so the weights differ'
            cure = 'copy the weights file from one machine to the other (sha256sum tells)'
        yield Finding(FAULT, device.name, f'model {device.model}, but {edge.name} runs '
                      f'{edge.model}: {text}', cure)


def clocks(nodes: Sequence[Seen]) -> Iterator[Finding]:
    """
    Compare each node's clock with the one here, by the stamps of its diagnostics.

    A message is under way for a time between nothing and the shortest round trip of a service
    call, so half of that is added, and is the error: NTP's estimate (RFC 5905, section 8) with
    one-way messages.
    """
    for node in nodes:
        if not node.ages or node.round_trip == float('inf'):
            continue
        error = node.round_trip / 2
        ahead = error - min(node.ages)
        text = f'clock {ahead * 1e3:+.1f} ms from the one here, +- {error * 1e3:.1f} ms'
        if abs(ahead) - error > SKEW:
            yield Finding(FAULT, node.name, text, 'sudo timedatectl set-ntp true on both machines '
                          '(chronyc tracking says how far off); or one of them has use_sim_time')
        else:
            yield Finding(OK, node.name, text)


def link(robot: str, device: str, state: LinkState, mode: object,
         reliable: object) -> Iterator[Finding]:
    """Judge the last LinkState of a robot."""
    if mode == 'local':
        yield Finding(OK, robot, 'mode local: the link is not used')
        return
    if not state.goodput_bytes_per_s:
        yield Finding(HINT, robot, 'no frame was sent and acknowledged yet: nothing is known of '
                      'the link', 'let the camera run, and ask again')
        return
    text = (f'link: goodput {state.goodput_bytes_per_s / 1e6:.2f} MB/s, round trip '
            f'{state.round_trip_ms:.1f} ms, loss {state.loss:.1%}, {state.frame_bytes} bytes and '
            f'{state.frame_messages} messages a frame')
    if not state.edge_alive:
        yield Finding(FAULT, robot, f'the edge does not answer; {text}', 'is the edge active (see '
                      'above), the link up (ping), the deadline long enough for it (ros2 param '
                      f'get {device} deadline_ms)?')
    elif state.loss > LOSS:
        steps = '' if reliable else (f'ros2 param set {device} reliable_tiles true while it is '
                                     f'inactive; ')
        yield Finding(FAULT, robot, text, f'{steps}ros2 param set {device} message_bytes 8000, '
                      'and the Wi-Fi profile (README: Wi-Fi and other middlewares)')
    else:
        yield Finding(OK, robot, text)
    if state.blocked > 0.5:
        yield Finding(HINT, robot, f'publishing is blocked {state.blocked:.0%} of the time: the '
                      f'link is slower than what is sent', f'fewer bytes a frame: ros2 param set '
                      f'{device} codec zlib (or jpeg_444, which is lossy)')


def frames(robot: str, device: str, reports: Sequence[FrameReport],
           seconds: float) -> Iterator[Finding]:
    """Judge the reports that came while the doctor looked."""
    if not reports:
        yield Finding(FAULT, robot, f'no frame was processed in {seconds:g} s',
                      f'does the camera run? ros2 topic hz {robot.rstrip("/")}/image; its topic '
                      f'is launch argument image:=TOPIC')
        return
    latencies = sorted(r.latency_ms for r in reports)
    late = sum(not r.deadline_met for r in reports)
    text = (f'{len(reports)} frames, {len(reports) / seconds:.1f} a second, latency p50 '
            f'{latencies[len(latencies) // 2]:.0f} ms, largest {latencies[-1]:.0f} ms')
    fallbacks: Mapping[str, int] = Counter(r.reason for r in reports if r.fallback)
    for reason, count in fallbacks.items():
        yield Finding(FAULT, robot, f'{count} of {text}: finished by the device alone, because: '
                      f'{reason}', f'see above what is wrong with the edge or the link; or ros2 '
                      f'param set {device} deadline_ms {max(1000.0, 3 * latencies[-1]):.0f}.0')
    if late > len(reports) / 10:
        yield Finding(HINT, robot, f'{late} of {text}: later than the deadline',
                      f'ros2 param set {device} deadline_ms {1.5 * latencies[-1]:.0f}.0')
    elif not fallbacks:
        yield Finding(OK, robot, text)
