"""
What all measurements share: the machine, the bed and the nodes that options ask for, and what a
model takes on each side.
"""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

import bench_model
import expectation
import grid
import record
from intradp_ros.errors import IntraDPError
from intradp_ros.planning import profile_file
from intradp_ros.planning.measure import processor
from intradp_ros.version import version
from methods import within
from testbed import summary
from testbed.bed import SHARE, Processor, TestBed, default_processors
from testbed.system import System

# Milliseconds: in the grid nobody gives up, so that each method shows its own latency.
NO_DEADLINE = 60000.0


def part_of_a_core(text: str) -> float:
    """
    Read the share of a core that a robot has.

    :raises argparse.ArgumentTypeError: unless it is a part of one.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f'above 0 and at most 1 (a whole core), got {text}')
    return value


def host(args: argparse.Namespace) -> dict[str, object]:
    """Say what was measured where."""
    bed = bed_of(args)
    return {
        'cpu': processor(), 'cores': os.cpu_count(),
        'instructions': torch.backends.cpu.get_cpu_capability(), 'kernel': platform.release(),
        'python': platform.python_version(), 'torch': torch.__version__,
        'ros': os.environ.get('ROS_DISTRO', ''), 'rmw': 'rmw_fastrtps_cpp (UDP on the link)',
        'intradp_ros': version(), 'commit': record.commit(),
        'changed files': len(record.git('status', '--porcelain').splitlines()),
        'robot share of a core': bed.robot.share,
        'robot slowed by': 'a real-time process in every millisecond',
        'edge cores': list(bed.edge.cores), 'seed': args.seed}


def bed_of(args: argparse.Namespace, robots: int = 1, most: int = 1) -> TestBed:
    """
    Describe the bed that the options ask for.

    :param most: robots of the largest bed that this one is compared with: theirs get no more of a
        processor than those.
    """
    share = args.share or SHARE
    robot, edge = default_processors(robots, share)
    most = max(most, robots)
    alike, _ = default_processors(most, share)
    robot = Processor(alike.share, robot.cores, shared=most > len(alike.cores))
    return TestBed(robots, 100e6, robot, edge, (args.out / 'cache').absolute())


@contextmanager
def running(args: argparse.Namespace, model: dict[str, object], robots: int = 1,
            topology: str = 'split', servers: bool = False, label: str = '',
            images: Path | None = None, most: int = 1) -> Iterator[tuple[TestBed, System]]:
    """Make a bed (`most` as in `bed_of`) and start the nodes in it."""
    images = images or args.out / 'images.npy'
    bench_model.draw_images(images, args.seed)
    with bed_of(args, robots, most) as bed, \
            System(bed, args.out / 'logs' / (label or topology), model, images,
                   {'deadline_ms': NO_DEADLINE, 'message_bytes': expectation.MESSAGE_BYTES},
                   topology, servers) as system:
        yield bed, system


def profile(args: argparse.Namespace, model: dict[str, object]) -> tuple[Path, Path]:
    """Profile a model on both sides, where the nodes of a bed look; give the files."""
    with bed_of(args) as bed:
        return expectation.measure(bed, model, 8.0 if args.quick else 30.0)


def calibrate(args: argparse.Namespace, name: str) -> dict:
    """
    Measure what a model takes on the robot (D) and on the edge, and profile both sides; once.

    Profiles are no part of the results: where they are gone they are measured again, and D, which
    decides the rates of all cells of a model, stays.
    """
    found = grid.load(args.out, f'calibration-{name}')
    if found and all((args.out / path).exists() for path in found['profiles']):
        return found
    model = bench_model.parameters(name)
    profiles = [os.path.relpath(path, args.out) for path in profile(args, model)]
    if found:
        found['profiles'] = profiles
        grid.save(args.out, f'calibration-{name}', found)
        return found
    robot = profile_file.load(args.out / profiles[0])
    frames, warmup = local_frames(expectation.local_seconds(robot))
    with running(args, model, label=f'calibration-{name}') as (_, system):
        system.set({'mode': 'local'})
        local, = system.watch(frames=frames, warmup=warmup, patience=300.0)
        # A node is found while it still warms up; one that did frames has said when it was active.
        active = system.activations()
        starts = {process: active[process] - system.started[process] for process in active}
        system.set({'mode': 'offload', 'codec': 'uint8'})
        offload, = system.watch(frames=15, warmup=5, patience=300.0)
    alone, sent = (summary.frames(r.events) for r in (local, offload))
    middle = {key: summary.percentiles([f.report[key] for f in sent])['p50']
              for key in ('bytes', 'edge_compute_ms')}
    result = {
        'model': name, 'device_ms': summary.percentiles([f.latency for f in alone])['p50'],
        'edge_ms': middle['edge_compute_ms'], 'input_bytes': middle['bytes'],
        'profiles': profiles,
        'start_s': starts, 'discovery_s': max(0.0, system.matched - max(active.values())),
    }
    grid.save(args.out, f'calibration-{name}', result)
    return result


def local_frames(each: float) -> tuple[int, int]:
    """
    Give the frames that D is the median of, and those before them.

    Fresh nodes are slow for some seconds, and D decides the rates of a whole grid; but what a
    model that takes seconds a frame takes is seen in a minute.

    :param each: seconds that a frame takes, about.
    """
    return within(40, 60.0, grid.LEAST_FRAMES, each), within(20, 10.0, 3, each)


def rate_of(rho: float, calibration: dict) -> float:
    """Bytes a second at which the input takes rho times as long as the model on the robot."""
    return calibration['input_bytes'] / (rho * calibration['device_ms'] / 1e3)


def ending_well(call: Callable[[], int]) -> int:
    """Give a command's exit code; SIGINT and SIGTERM end it and everything that it made."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return call()
    except KeyboardInterrupt:
        print('interrupted; namespaces, qdiscs and groups are removed; call again to go on',
              file=sys.stderr)
        return 130
    except IntraDPError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
