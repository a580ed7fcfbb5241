"""
The measured comparison: all methods side by side on one machine, next to the physical limit.

Robot and edge run as processes in two network namespaces over DDS, the robot on a share of one
core, the edge on another, the link limited by tc. Needs root. Results of cells are kept: call it
again to go on. Everything that it makes on the machine is removed at the end, whatever the end.
"""

import argparse
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

import bench_model
import conditions
import expectation
import grid
import replay
import report
from intradp_ros.errors import ParameterError
from intradp_ros.model.detector import Detections
from intradp_ros.planning.plan import Setup
from methods import LIMITED_HALO, METHODS
from testbed import summary
from testbed.bed import TestBed
from testbed.shell import BedError
from testbed.system import Recording, System, join

QUICK = {'models': ['demo_detector'], 'rhos': [1 / 4, 1.0, 4.0], 'frames': 20, 'hours': 0.25,
         'seconds': 20.0,
         'methods': ['local', 'offload', 'jpeg_offload', 'compressed_topic', 'split', 'frontier',
                     'auto']}
FULL = {'models': list(bench_model.MODELS), 'rhos': list(grid.RHOS), 'frames': 100, 'hours': 3.0,
        'seconds': 120.0, 'methods': [name for name in METHODS if name not in LIMITED_HALO]}
PARTS = ('grid', 'replay', 'scale')
# In so many turns the frames of a cell are seen.
ROUNDS = 4


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='scripts/bench', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--quick', action='store_true',
        help='one model, three bandwidths, fewer methods and frames: ends within 15 minutes')
    add('--parts', nargs='+', choices=PARTS, default=['grid'], help='default: grid')
    add('--models', nargs='+', metavar='NAME', help='detectors and classifiers of the zoo')
    add('--methods', nargs='+', metavar='NAME', help=', '.join(METHODS))
    add('--rhos', nargs='+', type=float, metavar='X',
        help='bandwidths, as C/D: time of the input on the link over time of the model on the '
             'robot')
    add('--frames', type=int, metavar='N', help='frames a cell (default 100, quick 20)')
    add('--hours', type=float, metavar='H', help='fewer frames a cell, but at least '
        f'{grid.LEAST_FRAMES}, and what takes longest and is farthest from rho = 1 left for '
        'another run, if this is not enough (default 3, quick 0.25)')
    add('--seconds', type=float, metavar='S',
        help='length of the traces that are replayed (default 120, quick 20)')
    add('--traces', nargs='+', metavar='NAME',
        help='those that are replayed: wifi, lte, bursts, roaming, and recorded ones where there '
             'are any (default: all)')
    add('--share', type=conditions.part_of_a_core, metavar='X', default=0.5,
        help='share of a core that a robot has (default %(default)s; less where robots share a '
             'core)')
    add('--seed', type=int, default=0, help='of images, order and traces (default 0)')
    add('--out', type=Path, default=Path('bench/results/compare'), metavar='DIR',
        help='folder of the results (default %(default)s)')
    add('--report', type=Path, metavar='FILE', help='default: REPORT.md in DIR')
    add('--only-report', action='store_true', help='measure nothing, write the report')
    args = parser.parse_args(arguments)
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.frames < 1 or min(args.hours, args.seconds) <= 0:
        parser.error('--frames, --hours and --seconds have to be above 0')
    return args


# -- one group of cells --------------------------------------------------------------------------

def run_cells(system: System, bed: TestBed, cells: Sequence[grid.Cell], calibration: dict,
              frames: int, bar: tqdm) -> dict[grid.Cell, dict]:
    """
    Set the rate that is these cells' and watch their methods, in turns: the frames of each are
    spread over the time of all, as a shared machine is not the same from one minute to the next.

    :returns: for each the rate and a recording, or why the nodes refused the method.
    """
    rate = conditions.rate_of(cells[0].rho, calibration)
    bed.links[0].set_rate(rate)
    seen: dict[grid.Cell, list[Recording]] = {cell: [] for cell in cells}
    refused: dict[grid.Cell, str] = {}
    order = random.Random(cells[0].name)
    for part in range(ROUNDS):
        for cell in order.sample(cells, len(cells)):
            method, each = METHODS[cell.method], frame_seconds(cell, calibration)
            if method.parameters and cell not in refused:
                try:
                    system.set(method.parameters | {'deadline_ms': conditions.NO_DEADLINE})
                except BedError as error:
                    refused[cell] = str(error)
            if cell in refused:
                continue
            bar.set_description(f'{cell.name} {part + 1}/{ROUNDS}')
            recording, = system.watch(
                frames=frames * (part + 1) // ROUNDS - frames * part // ROUNDS,
                warmup=method.warmup_again(each) if part else method.warmup(each),
                patience=10 + 10 * each, on_progress=ticker(bar, each))
            seen[cell].append(recording)
    return {cell: {'refused': refused[cell]} if cell in refused else
            {'rate': rate, 'recording': join(seen[cell])} for cell in cells}


def frame_seconds(cell: grid.Cell, calibration: dict) -> float:
    """Guess how long a frame takes."""
    return grid.frame_seconds(cell, calibration['device_ms'] / 1e3)


def warmups(cell: grid.Cell, each: float) -> int:
    """Give a cell's frames that do not count; a frame takes about so many seconds."""
    method = METHODS[cell.method]
    return method.warmup(each) + (ROUNDS - 1) * method.warmup_again(each)


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
        calibrations[name] = conditions.calibrate(args, name)
    start = grid.START * len(grid.groups(left, args.seed))
    costs = {pair: cost(cells, calibrations[pair[0]]) for pair, cells in grid.pairs(left).items()}
    frames = grid.frames_that_fit(
        args.frames, 3600 * args.hours - (time.monotonic() - begin) - start, costs)
    for text in fewer(args, frames, costs):
        print(text, file=sys.stderr)
    groups = grid.groups([cell for cell in left if cell.pair in frames], args.seed)
    # The bar counts expected seconds, so that its remaining time is right for unequal cells.
    total = start + sum(costs[pair].of(count) for pair, count in frames.items())
    layout = '{desc} {percentage:3.0f}% |{bar}| {elapsed}, {remaining} to go'
    with tqdm(total=round(total), desc='cells', bar_format=layout) as bar:
        for group in groups:
            run_group(args, group, calibrations[group[0].model], frames, bar)


def cost(cells: Sequence[grid.Cell], calibration: dict) -> grid.Cost:
    """Guess how long cells take."""
    each = {cell: frame_seconds(cell, calibration) for cell in cells}
    return grid.Cost(sum(seconds * warmups(cell, seconds) for cell, seconds in each.items()),
                     sum(each.values()))


def fewer(args: argparse.Namespace, frames: dict[grid.Pair, int],
          costs: dict[grid.Pair, grid.Cost]) -> Iterator[str]:
    """Say what is not measured as asked, so as to end in time."""
    for model in dict.fromkeys(model for model, _ in costs):
        seen = {rho: count for (name, rho), count in frames.items() if name == model}
        said = [f'{count} frames a cell at rho {rho:g}' for rho, count in seen.items()
                if count < args.frames]
        if late := [f'{rho:g}' for name, rho in costs if name == model and rho not in seen]:
            said.append(f'rho {", ".join(late)} left for another run')
        if said:
            yield f'{model}: {", ".join(said)}: more would not end in {args.hours:g} h'


def run_group(args: argparse.Namespace, group: list[grid.Cell], calibration: dict,
              frames: dict[grid.Pair, int], bar: tqdm) -> None:
    """Measure the cells of one set of processes."""
    name, method = group[0].model, METHODS[group[0].method]
    model = bench_model.parameters(name)
    images = bench_model.draw_images(args.out / 'images.npy', args.seed)
    detector = bench_model.build(model)
    reference = {k: detector.detect(image) for k, image in enumerate(images)}
    setup = expectation.setup(*(args.out / path for path in calibration['profiles']))
    with conditions.running(args, model, 1, method.topology, method.servers,
                            f'{name}-{method.topology}') as (bed, system):
        bar.update(round(grid.START))
        for pair, cells in itertools.groupby(group, lambda cell: cell.pair):
            seen = run_cells(system, bed, list(cells), calibration, frames[pair], bar)
            for cell, found in seen.items():
                if recording := found.pop('recording', None):
                    found |= judged(recording, cell, found['rate'], setup, reference)
                grid.save(args.out / 'cells', cell.name, grid.result_of(cell, **found))


def judged(recording: Recording, cell: grid.Cell, rate: float, setup: Setup,
           reference: dict[int, Detections]) -> dict:
    """Give what a cell's file says of what was seen."""
    processed = summary.frames(recording.events)
    return {
        'turns': ROUNDS,
        'figures': summary.summarize(recording.events, recording.used, recording.crossed),
        'frames': [[f.image, f.latency, f.round_trip] for f in processed],
        'differing': bench_model.differing(processed, reference),
        'agreement': None if METHODS[cell.method].lossless else
        bench_model.agreement(processed, reference),
        'expected': expectation.expected(setup, cell.method, rate),
        'example': middle_frame(processed),
    } | expectation.limits(setup, [rate])[0]


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
    now = conditions.host(args)
    # A cell of another commit is as good as one of this one only if its reader knows.
    before = grid.load(args.out, 'host')
    fixed = ('cpu', 'cores', 'instructions', 'torch', 'robot share of a core', 'robot slowed by',
             'seed')
    differing = [key for key in fixed if before and before.get(key) != now[key]]
    if differing:
        raise ParameterError(
            f'{args.out} holds results of another run ' + ', '.join(
                f'({key}: {before.get(key)}, now {now[key]})' for key in differing)
            + ': choose another --out, or remove it')
    commits = dict.fromkeys([*(before['commits'] if before else ()), now.pop('commit')])
    grid.save(args.out, 'host', now | {'commits': list(commits)})


def run(args: argparse.Namespace) -> int:
    """Measure what is missing, then write the report."""
    grid.cells(args.models, args.rhos, args.methods)
    for name in args.models:
        bench_model.parameters(name)
    if 'replay' in args.parts:
        replay.choose(args.seconds, args.seed, args.traces)
    if not args.only_report:
        settle(args)
        for part in args.parts:
            if part == 'grid':
                run_grid(args)
            elif part == 'replay':
                replay.run(args)
            else:
                import scale
                scale.run(args)
    path = report.write(args.out, args.report or args.out / 'REPORT.md')
    print(f'report: {path}', file=sys.stderr)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    return conditions.ending_well(lambda: run(parse(arguments)))


if __name__ == '__main__':
    sys.exit(main())
