"""
Predict a frame by every planner: latency, energy, bytes, and how far it is from the bound.

Everything is simulated from profiles (`intradp profile`), so no edge and no network are needed.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Any

from tqdm import tqdm

from intradp_ros.errors import ParameterError
from intradp_ros.planning import encodings, gantt, planners, profile_file, sweep
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup
from intradp_ros.planning.timeline import Timeline

# A decision is timed until it has taken this long in all, or this often.
TIMED_SECONDS, TIMED_RUNS = 0.05, 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `intradp plan`."""
    add = parser.add_argument
    add('--profile', type=Path, required=True, metavar='FILE',
        help="the robot's profile, made by `intradp profile`")
    edge = parser.add_mutually_exclusive_group()
    edge.add_argument('--edge-profile', type=Path, metavar='FILE', help="the server's profile")
    edge.add_argument('--edge-speedup', type=float, default=10.0, metavar='X',
                      help='without one: the server is X times as fast as the robot '
                           '(default %(default)s)')
    add('--bandwidth', type=float, required=True, metavar='MB/s',
        help='bandwidth of the link, each way, in 10^6 bytes a second')
    add('--rtt', type=float, default=2.0, metavar='MS', help='round trip (default %(default)s)')
    add('--codec', metavar='NAME', help='codec of input rows that the profiles have measured '
        '(default uint8)')
    add('--input-dtype', choices=('uint8', 'float32'), default='uint8',
        help='how input elements travel without a codec: publications send float32 '
             '(default %(default)s)')
    add('--planner', default='all', metavar='NAME',
        help=f'one or several, separated by commas, of {", ".join(planners.NAMES)} '
             f'(default: all)')
    add('--objective', choices=('latency', 'energy', 'deadline'), default='latency',
        help='least latency; least energy of the robot; least energy within --deadline-ms '
             '(default %(default)s)')
    add('--deadline-ms', type=float, default=0.0, metavar='MS', help='of --objective deadline')
    add('--energy-cap', type=float, default=0.0, metavar='J',
        help='rule out plans that take more joules a frame')
    add('--halo-px', type=int, metavar='N',
        help='allow inexact bands with a halo of N input rows (planners that can)')
    add('--tiles', type=int, default=32, metavar='N', help='most tiles (default %(default)s)')
    add('--gantt', type=Path, metavar='PNG', help='draw what each side does when')
    add('--sweep', type=Path, metavar='PNG', help='draw latency against bandwidth')
    add('--from', type=float, default=0.1, dest='first', metavar='MB/s',
        help='of --sweep (default %(default)s)')
    add('--to', type=float, default=50.0, dest='last', metavar='MB/s',
        help='of --sweep (default %(default)s)')
    add('--json', action='store_true', help='print JSON and nothing else')


@dataclass(frozen=True)
class Row:
    """What one planner decided, how that would go, and how long it took to decide (seconds)."""

    plan: Plan
    frame: Timeline
    bound: float
    joules: float
    decision: float
    preparation: float | None


def run(args: argparse.Namespace) -> int:
    """Print one row for each planner, the fastest first; draw what was asked for."""
    setup, link, objective = read_setup(args), read_link(args), read_objective(args)
    link = setup.device.sending(link)
    names = planners.NAMES if args.planner == 'all' else tuple(args.planner.split(','))
    modules = {name: planners.find(name) for name in names}
    bound = bounds(setup, objective)
    rows = []
    quiet = not sys.stderr.isatty()
    with tqdm(modules.items(), unit='planner', disable=quiet, file=sys.stderr,
              leave=False) as progress:
        for name, module in progress:
            progress.set_postfix_str(name)
            rows.append(judge(module, setup, link, objective, bound))
    rows.sort(key=lambda row: row.frame.latency)
    if args.json:
        print(json.dumps([figures(row) for row in rows], indent=1))
    else:
        print(summary(setup, link, bound(link, True)))
        print('\n'.join(table(rows)))
    if args.gantt:
        gantt.draw([chart(setup, row) for row in rows], args.gantt)
    if args.sweep:
        over = tqdm(sweep.bandwidths(args.first * 1e6, args.last * 1e6), unit='bandwidth',
                    disable=quiet, file=sys.stderr, leave=False)
        result = sweep.sweep(setup, {name: module.plan for name, module in modules.items()},
                             over, link, objective, lambda here: bound(here, True))
        sweep.draw(result, f'{setup.device.model}: robot {1e3 * setup.device.total:.0f} ms, '
                           f'edge {1e3 * setup.edge.total:.0f} ms, '
                           f'{setup.input_bytes / 1e3:.0f} kB as {setup.encoding.name}',
                   args.sweep)
    return 0


def read_setup(args: argparse.Namespace) -> Setup:
    """
    Read the profiles, and say how the input travels.

    :raises ParameterError: when a file is no profile, the two do not belong together, or the
        codec has not been measured.
    """
    device = profile_file.load(args.profile)
    if args.edge_profile:
        edge = profile_file.load(args.edge_profile)
    elif args.edge_speedup > 0:
        edge = device.scaled(1 / args.edge_speedup)
    else:
        raise ParameterError(f'--edge-speedup has to be above 0, got {args.edge_speedup}')
    if args.codec and args.input_dtype == 'float32':
        raise ParameterError('--codec works on uint8 rows: leave out --input-dtype float32')
    known = encodings.encodings(device, edge)
    codec = args.codec or args.input_dtype
    if codec not in known:
        raise ParameterError(f'the profiles know no codec {codec!r}; they know '
                             f'{", ".join(sorted(known))}')
    for side in {id(p): p for p in (device, edge)}.values():
        if not side.has_geometry:
            print(f'intradp plan: the profile of {side.model} has no geometry; halos are taken '
                  f'as 0', file=sys.stderr)
    return Setup(device, edge, known[codec])


def read_link(args: argparse.Namespace) -> Link:
    """Read the link; raises ParameterError for a bandwidth or round trip that cannot be."""
    if not 0 < args.bandwidth < float('inf') or not 0 <= args.rtt < float('inf'):
        raise ParameterError(f'--bandwidth has to be above 0 and --rtt not below, got '
                             f'{args.bandwidth} MB/s and {args.rtt} ms')
    return Link(args.bandwidth * 1e6, args.rtt / 1e3)


def read_objective(args: argparse.Namespace) -> Objective:
    """Read the objective; raises ParameterError for figures that cannot be."""
    if args.objective == 'deadline' and args.deadline_ms <= 0:
        raise ParameterError('--objective deadline needs --deadline-ms')
    if args.tiles < 1 or args.energy_cap < 0 or (args.halo_px or 0) < 0:
        raise ParameterError(f'--tiles has to be 1 or more, --energy-cap and --halo-px 0 or more, '
                             f'got {args.tiles}, {args.energy_cap} and {args.halo_px}')
    return Objective(args.objective, args.deadline_ms / 1e3, args.energy_cap, args.halo_px,
                     args.tiles)


def bounds(setup: Setup, objective: Objective) -> Callable[[Link, bool], float]:
    """Give the function (link, exact) -> least seconds; inexact only where a halo is allowed."""
    # Scipy takes a while to import.
    from intradp_ros.planning.bound import Limits
    limits = Limits(setup)

    def bound(link: Link, exact: bool) -> float:
        return limits.exact(link) if exact or objective.halo is None else \
            limits.limited_halo(link)
    return bound


def judge(module: ModuleType, setup: Setup, link: Link, objective: Objective,
          bound: Callable[[Link, bool], float]) -> Row:
    """
    Let one planner plan, and simulate the frame.

    Planners with an offline part (`prepare`) are timed without it, as they run online.
    """
    plan = module.plan(setup, link, objective)
    frame = plan.run(link)
    known = {'setup': setup, 'link': link, 'objective': objective}
    preparation = None
    if hasattr(module, 'prepare'):
        begin = time.perf_counter()
        decide = bind(bind(module.prepare, known)().decide, known)
        preparation = time.perf_counter() - begin
    else:
        decide = bind(module.plan, known)
    return Row(plan, frame, bound(link, plan.exact), frame.energy(setup.device.power),
               median_seconds(decide), preparation)


def bind(function: Callable, known: dict[str, Any]) -> Callable[[], Any]:
    """Give a call of a function with those of the known arguments that it has."""
    mine = {name: known[name] for name in signature(function).parameters if name in known}
    return lambda: function(**mine)


def median_seconds(call: Callable[[], object]) -> float:
    """Median time of a call."""
    times: list[float] = []
    while not times or len(times) < TIMED_RUNS and sum(times) < TIMED_SECONDS:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def chart(setup: Setup, row: Row) -> gantt.Chart:
    """Give what is to be drawn of a row; the bound is only for exact plans."""
    source = setup.graph.tensors[setup.graph.input]
    inputs = (source.name, str(source.id)) + ('band',) * (row.plan.merge == source.name)
    return gantt.Chart(f'{row.plan.planner}: {row.plan.way}', row.frame,
                       row.bound if row.plan.exact else 0.0, inputs)


def figures(row: Row) -> dict[str, Any]:
    """Give the keys of `intradp plan --json`; null for a frame that never ends."""
    frame = row.frame

    def number(value: float | None, digits: int = 3) -> float | None:
        return None if value is None or not isfinite(value) else round(value, digits)
    return {
        'planner': row.plan.planner, 'latency_ms': number(1e3 * frame.latency),
        'bound_ms': number(1e3 * row.bound), 'device_ms': number(1e3 * frame.busy('device')),
        'edge_ms': number(1e3 * frame.busy('edge')), 'bytes_up': round(frame.sent('uplink')),
        'bytes_down': round(frame.sent('downlink')), 'energy_j': number(row.joules, 4),
        'merge': row.plan.merge, 'tiles': row.plan.tiles,
        'decision_us': number(1e6 * row.decision, 1),
        'prepare_ms': number(None if row.preparation is None else 1e3 * row.preparation),
        'exact': row.plan.exact, 'way': row.plan.way, 'note': row.plan.note,
    }


def summary(setup: Setup, link: Link, bound: float) -> str:
    """Say in a line or two what was planned for."""
    device, sending = setup.device.total, setup.input_bytes / link.bandwidth
    return '\n'.join([
        f'{setup.device.model}: {1e3 * device:.1f} ms on the robot ({setup.device.processor}), '
        f'{1e3 * setup.edge.total:.1f} ms on the edge',
        f'input: {setup.input_bytes / 1e3:.0f} kB as {setup.encoding.name}, {1e3 * sending:.1f} '
        f'ms at {link.bandwidth / 1e6:g} MB/s (rho {sending / device:.2f})',
        f'bound: no exact schedule takes less than {1e3 * bound:.1f} ms', ''])


COLUMNS: tuple[tuple[str, str, Callable[[dict], str]], ...] = (
    ('planner', '<14', lambda r: r['planner'] + ('' if r['exact'] else '*')),
    ('way', '<16', lambda r: r['way']),
    ('latency ms', '>10', lambda r: _cell(r['latency_ms'], 1)),
    ('x bound', '>7', lambda r: _cell(r['latency_ms'] and r['bound_ms']
                                      and r['latency_ms'] / r['bound_ms'], 2)),
    ('device ms', '>9', lambda r: _cell(r['device_ms'], 1)),
    ('edge ms', '>7', lambda r: _cell(r['edge_ms'], 1)),
    ('up kB', '>7', lambda r: _cell(r['bytes_up'] / 1e3, 0)),
    ('down kB', '>7', lambda r: _cell(r['bytes_down'] / 1e3, 1)),
    ('energy J', '>8', lambda r: _cell(r['energy_j'], 3)),
    ('tiles', '>5', lambda r: str(r['tiles'])),
    ('decision us', '>11', lambda r: _cell(r['decision_us'], 1)),
    ('merge', '<0', lambda r: r['merge'] if len(r['merge']) < 40 else
     f'{r["merge"].count(" + ") + 1} tensors'),
)


def _cell(value: float | None, digits: int) -> str:
    return '-' if value is None else f'{value:.{digits}f}'


def table(rows: list[Row]) -> list[str]:
    """Format the rows for people."""
    lines = ['  '.join(f'{title:{form}}' for title, form, _ in COLUMNS)]
    for row in map(figures, rows):
        lines.append('  '.join(f'{cell(row):{form}}' for _, form, cell in COLUMNS).rstrip())
    if not all(row.plan.exact for row in rows):
        lines.append("* not exact: its detections differ from the whole model's, and the bound "
                     'does not hold for it')
    return lines
