"""What the planners expect of a cell, and what no exact schedule could beat: from profiles that
were measured in the test bed, each side on its own cores and with its own share of them."""

import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path

from intradp_ros.errors import IntraDPError
from intradp_ros.planning import planners, profile_file
from intradp_ros.planning.bound import Limits
from intradp_ros.planning.encodings import encodings
from intradp_ros.planning.link import Link, LinkEstimate
from intradp_ros.planning.plan import Objective, Plan, Setup, best, kind_of
from intradp_ros.planning.planners import frontier
from intradp_ros.planning.profile import Profile
from testbed.bed import TestBed

# Bytes on the link for each byte of a tile: headers of Ethernet, IP (one a fragment), UDP, RTPS.
OVERHEAD = 1.028
# Seconds: an empty message there and its acknowledgement, in the bed.
ROUND_TRIP = 2e-3
# Most bytes of a message there: the default is for links that are not known.
MESSAGE_BYTES = 120000


def measure(bed: TestBed, model: dict[str, object], budget: float) -> tuple[Path, Path]:
    """
    Measure a model on the robot, then on the edge, and leave the profiles where the nodes look.

    :param budget: seconds a side.
    :returns: the two files.
    :raises IntraDPError: when it fails, with what it said.
    """
    line = ['intradp', 'profile', str(model['model']), '--threads', '1', '--json',
            '--budget', f'{budget:g}']
    if 'weights' in model:
        line += ['--weights', str(model['weights'])]
    if 'input_size' in model:
        line += ['--size', str(model['input_size'])]
    found = []
    for prefix in (bed.on_robot(), bed.on_edge()):
        done = subprocess.run([*prefix, *line], capture_output=True, text=True)
        if done.returncode:
            raise IntraDPError(f'"{" ".join(line)}" failed in the test bed: '
                               f'{done.stderr.strip()[-2000:]}')
        found.append(Path(json.loads(done.stdout)['file']))
    return found[0], found[1]


def setup(device: Path, edge: Path) -> Setup:
    """Read two profiles; input travels as uint8."""
    robot, server = profile_file.load(device), profile_file.load(edge)
    return Setup(robot, server, encodings(robot, server)['uint8'])


def local_seconds(device: Profile) -> float:
    """Give the seconds of a frame that a machine does alone."""
    return device.before + device.total + device.after


def as_fast_as(setup: Setup, local: float) -> Setup:
    """Scale the robot's profile so that local inference takes so many seconds; messages, too."""
    device = setup.device
    factor = local / local_seconds(device)
    return replace(setup, device=replace(
        device.scaled(factor), message_seconds=device.message_seconds * factor,
        message_compute=device.message_compute * factor,
        message_idle=device.message_idle * factor))


def link(setup: Setup, rate: float) -> Link:
    """Describe the bed's link at a rate in bytes a second, with all that it costs."""
    message_bytes = LinkEstimate(rate).message_limit(MESSAGE_BYTES)
    return setup.device.sending(Link(rate, ROUND_TRIP, message_bytes=message_bytes,
                                     overhead=OVERHEAD))


def plan(setup: Setup, method: str, rate: float) -> Plan | None:
    """Plan as a planner of the method's name does; None when there is none."""
    if method not in planners.NAMES:
        return None
    return planners.find(method).plan(setup, link(setup, rate), Objective())


def expected(setup: Setup, method: str, rate: float) -> dict[str, object] | None:
    """Give what a planner expects: milliseconds, the way, the merge tensor; None without one."""
    found = plan(setup, method, rate)
    if found is None:
        return None
    return {'latency_ms': found.run(link(setup, rate)).latency * 1e3, 'way': found.way,
            'merge': found.merge, 'tiles': found.tiles}


def plan_done(setup: Setup, way: str, merge: str, tiles: int, rate: float) -> Plan:
    """
    Give the plan of frames that were done in a certain way.

    :param way, merge, tiles: as in FrameReport.
    """
    kind = kind_of(way, merge, tiles)[:2]
    # For throughput no tensor is ruled out.
    found = [p for p in frontier.plans(setup, Objective('throughput')) if p.kind[:2] == kind]
    nearest = min(abs(p.tiles - max(1, tiles)) for p in found)
    return best(setup, [p for p in found if abs(p.tiles - max(1, tiles)) == nearest],
                link(setup, rate), Objective())


def done(setup: Setup, way: str, merge: str, tiles: int, rate: float) -> dict[str, object]:
    """Give what the timeline says of such frames, as `expected`."""
    taken = plan_done(setup, way, merge, tiles, rate)
    return {'latency_ms': taken.run(link(setup, rate)).latency * 1e3, 'way': taken.way,
            'merge': taken.merge, 'tiles': taken.tiles}


def limits(setup: Setup, rates: list[float]) -> list[dict[str, float]]:
    """
    Give, for each rate, the exact bound and that of parallel resistors, D C / (D + C), in ms.

    The link of the bound has no headers, no round trip and messages that cost nothing: no real
    one is faster.
    """
    bound = Limits(setup)
    found = []
    for rate in rates:
        device, sending = setup.device.total, setup.input_bytes / rate
        exact = bound.exact(Link(rate))
        found.append({'exact_bound_ms': exact * 1e3 if math.isfinite(exact) else math.nan,
                      'parallel_ms': device * sending / (device + sending) * 1e3})
    return found
