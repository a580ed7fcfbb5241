"""
The measured comparison: all methods side by side on one machine, next to the physical limit.

Robot and edge run as processes in two network namespaces over DDS, the robot on a share of one
core, the edge on another, the link limited by tc. Needs root. Results of cells are kept: call it
again to go on. Everything that it makes on the machine is removed at the end, whatever the end.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from tqdm import tqdm

import bench_model
import expectation
import grid
import report
from intradp_ros.errors import IntraDPError, ParameterError
from intradp_ros.version import version
from methods import METHODS
from testbed import summary
from testbed.bed import Processor, TestBed, default_processors
from testbed.shell import BedError
from testbed.system import System

QUICK = {'models': ['demo_detector'], 'rhos': [1 / 4, 1.0, 4.0], 'frames': 20, 'hours': 0.25,
         'methods': ['local', 'offload', 'jpeg_offload', 'compressed_topic', 'split', 'frontier',
                     'auto']}
FULL = {'models': list(bench_model.MODELS), 'rhos': list(grid.RHOS), 'frames': 100, 'hours': 3.0,
        'methods': list(METHODS)}
PARTS = ('grid', 'replay', 'scale')
WARMUP = 10
# Milliseconds: in the grid nobody gives up, so that each method shows its own latency.
NO_DEADLINE = 60000.0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='scripts/bench', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--quick', action='store_true',
        help='one model, three bandwidths, fewer methods and frames: ends within 15 minutes')
    add('--parts', nargs='+', choices=PARTS, default=['grid'], help='default: grid')
    add('--models', nargs='+', metavar='NAME', help='detectors of the zoo')
    add('--methods', nargs='+', metavar='NAME', help=', '.join(METHODS))
    add('--rhos', nargs='+', type=float, metavar='X',
        help='bandwidths, as C/D: time of the input on the link over time of the model on the '
             'robot')
    add('--frames', type=int, metavar='N', help='frames a cell (default 100, quick 20)')
    add('--hours', type=float, metavar='H', help='fewer frames a cell, but at least '
        f'{grid.LEAST_FRAMES}, if this is not enough (default 3, quick 0.25)')
    add('--share', type=float, metavar='X',
        help='share of a core that a robot has (default 0.25, less where robots share a core)')
    add('--seed', type=int, default=0, help='of images, order and traces (default 0)')
    add('--out', type=Path, default=Path('bench/results/compare'), metavar='DIR',
        help='folder of the results (default %(default)s)')
    add('--report', type=Path, metavar='FILE', help='default: REPORT.md in DIR')
    add('--only-report', action='store_true', help='measure nothing, write the report')
    args = parser.parse_args(arguments)
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.frames < 1 or args.hours <= 0:
        parser.error('--frames and --hours have to be above 0')
    return args


def host(args: argparse.Namespace) -> dict[str, object]:
    """Say what was measured where."""
    def said(*line: str) -> str:
        done = subprocess.run(line, capture_output=True, text=True,
                              cwd=Path(__file__).parent)
        return done.stdout.strip()
    cpu = next((line.split(':')[1].strip() for line in Path('/proc/cpuinfo').read_text()
                .splitlines() if 'model name' in line), platform.machine())
    robot, edge = default_processors()
    return {
        'cpu': cpu, 'cores': os.cpu_count(), 'kernel': platform.release(),
        'python': platform.python_version(), 'torch': torch.__version__,
        'ros': os.environ.get('ROS_DISTRO', ''), 'rmw': 'rmw_fastrtps_cpp (UDP only)',
        'intradp_ros': version(), 'commit': said('git', 'rev-parse', '--short', 'HEAD'),
        'changed files': len(said('git', 'status', '--porcelain').splitlines()),
        'robot share of a core': args.share or robot.share, 'edge cores': list(edge.cores),
        'seed': args.seed}


# -- one group of cells --------------------------------------------------------------------------

def bed_of(args: argparse.Namespace, robots: int = 1) -> TestBed:
    """Describe the bed that the options ask for."""
    robot, edge = default_processors(robots)
    if args.share:
        robot = Processor(args.share, robot.cores)
    return TestBed(robots, 100e6, robot, edge, (args.out / 'cache').absolute())


@contextmanager
def running(args: argparse.Namespace, model: dict[str, object], robots: int = 1,
            topology: str = 'split', servers: bool = False, label: str = '',
            images: Path | None = None) -> Iterator[tuple[TestBed, System]]:
    """Make a bed and start the nodes in it."""
    images = images or args.out / 'images.npy'
    bench_model.draw_images(images, args.seed)
    with bed_of(args, robots) as bed, \
            System(bed, args.out / 'logs' / (label or topology), model, images,
                   {'deadline_ms': NO_DEADLINE}, topology, servers) as system:
        yield bed, system


def calibrate(args: argparse.Namespace, name: str) -> dict:
    """
    Measure what a model takes on the robot (D) and on the edge, and profile both sides; once.
    """
    found = grid.load(args.out, f'calibration-{name}')
    if found:
        return found
    model = bench_model.parameters(name)
    with bed_of(args) as bed:
        device, server = expectation.measure(bed, model, 8.0 if args.quick else 30.0)
    with running(args, model, label=f'calibration-{name}') as (_, system):
        started = {process: system.matched - begin for process, begin in system.started.items()}
        system.set({'mode': 'local'})
        local, = system.watch(frames=15, warmup=5, patience=300.0)
        system.set({'mode': 'offload', 'codec': 'uint8'})
        offload, = system.watch(frames=15, warmup=5, patience=300.0)
    alone, sent = (summary.frames(r.events) for r in (local, offload))
    middle = {key: summary.percentiles([f.report[key] for f in sent])['p50']
              for key in ('bytes', 'edge_compute_ms')}
    result = {
        'model': name, 'device_ms': summary.percentiles([f.latency for f in alone])['p50'],
        'edge_ms': middle['edge_compute_ms'], 'input_bytes': middle['bytes'],
        'profiles': [os.path.relpath(device, args.out), os.path.relpath(server, args.out)],
        'start_to_matched_s': started,
    }
    grid.save(args.out, f'calibration-{name}', result)
    return result


def rate_of(rho: float, calibration: dict) -> float:
    """Bytes a second at which the input takes rho times as long as the model on the robot."""
    return calibration['input_bytes'] / (rho * calibration['device_ms'] / 1e3)


def run_cell(system: System, bed: TestBed, cell: grid.Cell, calibration: dict, frames: int,
             on_frame: Callable[[int], None]) -> dict:
    """Set method and rate, and watch; say so where the nodes do not know the method."""
    method = METHODS[cell.method]
    if method.parameters:
        try:
            system.set(method.parameters | {'deadline_ms': NO_DEADLINE})
        except BedError as error:
            return {'refused': str(error)}
    rate = rate_of(cell.rho, calibration)
    bed.links[0].set_rate(rate)
    patience = 10 + 10 * grid.frame_seconds(cell, calibration['device_ms'] / 1e3)
    recording, = system.watch(frames=frames, warmup=WARMUP, patience=patience,
                              on_progress=on_frame)
    return {'rate': rate, 'recording': recording}


def run_grid(args: argparse.Namespace) -> None:
    """Measure the cells that have no result yet."""
    wanted = grid.cells(args.models, args.rhos, args.methods)
    folder = args.out / 'cells'
    left = grid.pending(wanted, folder)
    if not left:
        return
    begin = time.monotonic()
    calibrations = {}
    for name in tqdm(dict.fromkeys(cell.model for cell in left), 'calibrating', unit='model'):
        calibrations[name] = calibrate(args, name)
    device = {name: found['device_ms'] / 1e3 for name, found in calibrations.items()}
    frames = grid.frames_that_fit(left, device, args.frames, WARMUP,
                                  3600 * args.hours - (time.monotonic() - begin), args.seed)
    if frames < args.frames:
        print(f'{frames} frames a cell instead of {args.frames}: more would not end in '
              f'{args.hours:g} h', file=sys.stderr)
    # The bar counts expected seconds, so that its remaining time is right for unequal cells.
    groups = grid.groups(left, args.seed)
    cost = {cell: (frames + WARMUP) * grid.frame_seconds(cell, device[cell.model])
            for cell in left}
    total = sum(cost.values()) + grid.START * len(groups)
    layout = '{desc} {percentage:3.0f}% |{bar}| {elapsed}, {remaining} to go'
    with tqdm(total=round(total), desc='cells', bar_format=layout) as bar:
        for group in groups:
            run_group(args, group, calibrations[group[0].model], frames, cost, bar)


def run_group(args: argparse.Namespace, group: list[grid.Cell], calibration: dict, frames: int,
              cost: dict[grid.Cell, float], bar: tqdm) -> None:
    """Measure the cells of one set of processes."""
    name, method = group[0].model, METHODS[group[0].method]
    model = bench_model.parameters(name)
    images = bench_model.draw_images(args.out / 'images.npy', args.seed)
    detector = bench_model.build(model)
    reference = {k: detector.detect(image) for k, image in enumerate(images)}
    setup = expectation.setup(*(args.out / path for path in calibration['profiles']))
    with running(args, model, 1, method.topology, method.servers,
                 f'{name}-{method.topology}') as (bed, system):
        bar.update(round(grid.START))
        for cell in group:
            bar.set_description(cell.name)
            found = run_cell(system, bed, cell, calibration, frames,
                             ticker(bar, cost[cell] / (frames + WARMUP)))
            if recording := found.pop('recording', None):
                processed = summary.frames(recording.events)
                found |= {
                    'figures': summary.summarize(recording.events, recording.used,
                                                 recording.crossed),
                    'frames': [[f.image, f.latency, f.round_trip] for f in processed],
                    'differing': bench_model.differing(processed, reference),
                    'expected': expectation.expected(setup, cell.method, found['rate']),
                    'example': middle_frame(processed),
                } | expectation.limits(setup, [found['rate']])[0]
            grid.save(args.out / 'cells', cell.name, grid.result_of(cell, **found))


def ticker(bar: tqdm, each: float) -> Callable[[int], None]:
    """Give what moves a bar on by so much a frame, told how many frames there have been."""
    seen = 0

    def tick(count: int) -> None:
        nonlocal seen
        bar.update((count - seen) * each)
        seen = count
    return tick


def middle_frame(processed: list[summary.Frame]) -> dict | None:
    """Give the report of the frame with the median latency, for the Gantt chart."""
    ordered = sorted(processed, key=lambda f: f.latency)
    return ordered[len(ordered) // 2].report if ordered else None


# -- all -----------------------------------------------------------------------------------------

def settle(args: argparse.Namespace) -> None:
    """
    Note what is the same in all results of a folder.

    :raises ParameterError: when its results were measured under other conditions.
    """
    now = host(args)
    # A cell of another commit is as good as one of this one only if its reader knows.
    before = grid.load(args.out, 'host')
    fixed = ('cpu', 'cores', 'torch', 'robot share of a core', 'seed')
    differing = [key for key in fixed if before and before[key] != now[key]]
    if differing:
        raise ParameterError(
            f'{args.out} holds results of another run ' + ', '.join(
                f'({key}: {before[key]}, now {now[key]})' for key in differing)
            + ': choose another --out, or remove it')
    commits = dict.fromkeys([*(before['commits'] if before else ()), now.pop('commit')])
    grid.save(args.out, 'host', now | {'commits': list(commits)})


def run(args: argparse.Namespace) -> int:
    """Measure what is missing, then write the report."""
    grid.cells(args.models, args.rhos, args.methods)
    for name in args.models:
        bench_model.parameters(name)
    if not args.only_report:
        settle(args)
        for part in args.parts:
            if part == 'grid':
                run_grid(args)
            elif part == 'replay':
                import replay
                replay.run(args)
            else:
                import scale
                scale.run(args)
    path = report.write(args.out, args.report or args.out / 'REPORT.md')
    print(f'report: {path}', file=sys.stderr)
    return 0


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    return ending_well(lambda: run(parse(arguments)))


if __name__ == '__main__':
    sys.exit(main())
