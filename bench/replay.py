"""Replays of bandwidth traces: every method on the same changing link."""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

import bench_model
import conditions
import disturbances
import grid
import traces
from intradp_ros.errors import ParameterError
from methods import METHODS, Method
from testbed import summary
from testbed.network import Link
from testbed.shell import BedError
from testbed.system import System

RECORDED = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'traces'
# Frames are wanted within this multiple of the time that the robot takes alone.
DEADLINE = 2.0


def choose(seconds: float, seed: int, names: Sequence[str] | None = None
           ) -> dict[str, traces.Trace]:
    """
    Give the traces to replay: generated ones, and recorded ones where there are any.

    :param names: of those that are wanted; None for all.
    :raises ParameterError: for one that there is not.
    """
    wifi = traces.wifi(seconds, seed)
    found = {'wifi': wifi, 'lte': traces.lte(seconds, seed),
             'bursts': traces.with_bursts(wifi, 5.0, 1.0, 0.1, seed)}
    # Gaps up to 3 s, each in a part of its own.
    found['roaming'] = traces.roaming(wifi, seed) if seconds > 24 else \
        traces.with_outages(wifi, (0.1, 0.5, 3.0), seed)
    for file in sorted(RECORDED.glob('*.csv')):
        found[file.stem] = [step for step in traces.read(file) if step[0] < seconds]
    if unknown := set(names or ()) - found.keys():
        raise ParameterError(f'unknown traces {", ".join(sorted(unknown))}; there are: '
                             f'{", ".join(found)}')
    return {name: traces.coarse(trace) for name, trace in found.items()
            if names is None or name in names}


def run(args: argparse.Namespace) -> None:
    """Measure what is missing of every model's replays."""
    chosen = choose(args.seconds, args.seed, args.traces)
    for model in args.models:
        calibration = conditions.calibrate(args, model)
        replays = {name: load(args.out, model, name, trace, calibration)
                   for name, trace in chosen.items()}
        missing = {method for found in replays.values() for method in args.methods
                   if 'figures' not in found['methods'].get(method, {})}
        cells = [grid.Cell(model, 1.0, method) for method in args.methods if method in missing]
        for group in grid.groups(cells, args.seed):
            run_group(args, [cell.method for cell in group], model, replays)


def load(out: Path, model: str, name: str, trace: traces.Trace, calibration: dict) -> dict:
    """Read what there is of a replay, or begin it."""
    return grid.load(out, f'replay-{model}-{name}') or {
        'model': model, 'trace': name, 'seconds': traces.length(trace),
        'mean_rate': traces.mean(trace), 'deadline_ms': DEADLINE * calibration['device_ms'],
        'steps': trace, 'methods': {}}


def run_group(args: argparse.Namespace, methods: Sequence[str], model: str,
              replays: dict[str, dict]) -> None:
    """Replay all traces with the methods that the same processes can run."""
    first = METHODS[methods[0]]
    with conditions.running(args, bench_model.parameters(model), 1, first.topology, first.servers,
                         f'replay-{model}-{first.topology}') as (bed, system):
        pairs = [(name, method) for name in replays for method in methods
                 if 'figures' not in replays[name]['methods'].get(method, {})]
        for name, method in tqdm(pairs, f'replay {model}', unit='replay'):
            found = replays[name]
            # The trace that the others were measured on, whatever options say now.
            # About as long as a frame takes on the robot alone.
            each = found['deadline_ms'] / DEADLINE / 1e3
            found['methods'][method] = run_one(system, bed.links[0], METHODS[method], each,
                                               found['steps'], found['deadline_ms'])
            regrets = regret({m: c['points'] for m, c in found['methods'].items()
                              if c.get('points')}, found['seconds'],
                             [m for m in found['methods'] if not METHODS[m].adaptive])
            for each, value in regrets.items():
                found['methods'][each]['regret_ms'] = value
            grid.save(args.out, f'replay-{model}-{name}', found)


def run_one(system: System, link: Link, method: Method, each: float, trace: traces.Trace,
            deadline_ms: float) -> dict:
    """
    Replay one trace with one method, after frames at the trace's mean rate: as many as in the
    grid, so that a method which plans has its plan.

    :param each: seconds of a frame, about.
    """
    link.set_rate(traces.mean(trace))
    try:
        if method.parameters:
            system.set(method.parameters | {'deadline_ms': deadline_ms})
    except BedError as error:
        return {'refused': str(error)}
    recording, = system.watch(disturbances.follow(link, trace), seconds=traces.length(trace),
                              warmup=method.warmup(each), patience=20.0)
    processed = summary.frames(recording.events)
    begin = next(e['t'] for e in recording.events if e['event'] == 'begin')
    remote = system.topology == 'remote'
    points = [(f.begin - begin, f.round_trip if remote else f.latency) for f in processed]
    figures = summary.summarize(recording.events, recording.used, recording.crossed)
    # A frame that was late is late whatever the nodes' own deadline was.
    figures['deadline_misses'] = sum(not latency <= deadline_ms for _, latency in points)
    heard = [(f.begin - begin, f.round_trip) for f in processed if f.heard]
    return {'begun': time.time() - traces.length(trace), 'figures': figures, 'points': points,
            'weighted_ms': summary.weighted_percentiles(points, traces.length(trace)),
            'camera_to_listener_ms': summary.weighted_percentiles(heard, traces.length(trace))}


def regret(points: dict[str, Sequence[tuple[float, float]]], seconds: float,
           fixed: Sequence[str]) -> dict[str, float]:
    """
    Give, for each method, how much later it was than the best fixed method of each second.

    :param points: (begin, latency) of the frames of each method.
    :param fixed: methods that may be the best one.
    :returns: means over the seconds of the trace; nothing without a fixed method.
    """
    instants = [second + 0.5 for second in range(int(seconds))]
    at = {name: [newest(mine, instant) for instant in instants]
          for name, mine in points.items()}
    rivals = [at[name] for name in fixed if name in at]
    if not rivals or not instants:
        return {}
    best = [min(values) for values in zip(*rivals)]
    return {name: statistics.fmean(a - b for a, b in zip(values, best))
            for name, values in at.items()}


def newest(points: Sequence[tuple[float, float]], instant: float) -> float:
    """Latency of the frame that began last by an instant, or of the first one."""
    return next((latency for begin, latency in reversed(points) if begin <= instant),
                points[0][1])
