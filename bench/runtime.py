"""
What must hold of the runtime, measured with processes in network namespaces (root).

Each run writes its figures into OUT.json and OUT.md, beside those of the other runs; together they
take about an hour without the soak of 30 minutes.
"""

import argparse
import json
import math
import signal
import statistics
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

import bench_model
import conditions
import disturbances
import expectation
import record
import runtime_checks as checks
from intradp_ros.runtime.modes import MANUAL
from methods import warmup
from runtime_checks import Check
from testbed import summary
from testbed.system import Disturbance, Recording, System

MBIT = 1e6 / 8


class Bench:
    """What all runs share: options, profiles (measured here, once), and ways to watch."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.frames = args, args.frames or (20 if args.quick else 300)
        self.model = bench_model.parameters(args.model)
        # Left where nodes look: none shall measure its own while frames run.
        self.setup = expectation.setup(*conditions.profile(args, self.model))

    def running(self, label: str, robots: int = 1, servers: bool = False):
        """Make a bed with nodes in it."""
        return conditions.running(self.args, self.model, robots, 'split', servers, label)

    def watch(self, system: System, mode: str, disturbance: Disturbance | None = None,
              deadline_ms: float | None = None, **options: object) -> list[Recording]:
        """Set a mode on every robot and watch."""
        for number in range(len(system.robots)):
            system.set({'mode': mode, 'codec': 'uint8',
                        'deadline_ms': deadline_ms or self.args.deadline_ms}, number)
        with tqdm(total=self.frames, desc=mode, unit='frame', leave=False) as bar:
            return system.watch(disturbance, lambda n: bar.update(n - bar.n), **(
                {'frames': self.frames, 'warmup': warmup(mode not in MANUAL)} | options))


def figures(recording: Recording) -> dict:
    """Sum up one robot."""
    return summary.summarize(recording.events, recording.used, recording.crossed)


def p50(recording: Recording) -> float:
    """Median latency in ms."""
    return figures(recording)['latency_ms']['p50']


# -- the runs ------------------------------------------------------------------------------------

def steady(bench: Bench) -> dict:
    """a: steady links: how far from what was planned, and what transport costs."""
    made, seen = [], {}
    with bench.running('steady') as (bed, system):
        for mbit in (5, 20, 80):
            rate = mbit * MBIT
            bed.links[0].set_rate(rate)
            for mode in dict.fromkeys((bench.args.mode, 'offload')):
                alone, = bench.watch(system, 'local', frames=max(10, bench.frames // 5))
                recording, = bench.watch(system, mode, deadline_ms=conditions.NO_DEADLINE)
                seen[f'{mode} at {mbit} Mbit/s'] = found = figures(recording)
                # A shared machine is not as fast as when the profile was measured.
                setup = expectation.as_fast_as(bench.setup, p50(alone) / 1e3)
                found['local_ms'] = p50(alone)
                made.append(checks.delivered(found, f'{mode} at {mbit} Mbit/s'))
                # What was planned at first, and what the timeline says of what was done at last.
                found['expected'] = expectation.expected(setup, mode, rate)
                way, count = Counter(
                    (f.report['way'], f.report['merge'], f.report['tiles'])
                    for f in summary.frames(recording.events)).most_common(1)[0]
                found['done'] = expectation.done(setup, *way, rate)
                made.append(Check(
                    f'{mode} at {mbit} Mbit/s: p50 / what the timeline says of '
                    f'{found["done"]["way"]} ({count} of {found["frames"]} frames)',
                    found['latency_ms']['p50'] / found['done']['latency_ms'], 1.25))
                if found['expected']:
                    made.append(Check(f'{mode} at {mbit} Mbit/s: p50 / the first plan',
                                      found['latency_ms']['p50']
                                      / found['expected']['latency_ms'], 1.25))
                if mode == 'offload':
                    # Headers are the link's, not ours.
                    sending = found['link_bytes_per_frame']['up'] / rate * 1e3
                    overhead = [f.latency - f.report['edge_compute_ms'] - sending
                                for f in summary.frames(recording.events)]
                    made.append(Check(
                        f'offload at {mbit} Mbit/s: p50 of latency less bytes on the link / '
                        'bandwidth less edge compute', statistics.median(overhead), 5.0, 'ms'))
    return result(made, seen)


def loss(bench: Bench) -> dict:
    """b: random loss of packets."""
    made, seen = [], {}
    with bench.running('loss') as (bed, system):
        bed.links[0].set_rate(20 * MBIT)
        for share in (0.0, 0.01, 0.05):
            bed.links[0].set_loss(share)
            recording, = bench.watch(system, bench.args.mode)
            seen[f'{share:.0%}'] = figures(recording)
            made.append(checks.delivered(seen[f'{share:.0%}'], f'loss {share:.0%}'))
    p95 = {name: found['latency_ms']['p95'] for name, found in seen.items()}
    made.append(Check('p95 at 5 % loss / without', p95['5%'] / p95['0%'], 2.0))
    return result(made, seen)


def outages(bench: Bench) -> dict:
    """c: the link is cut, the edge stopped, killed and started again, the server killed."""
    made, seen = [], {}
    with bench.running('outages', servers=True) as (bed, system):
        link = bed.links[0]
        # Where plans use the link: at 20 Mbit/s the robot is faster alone, and "back on the link"
        # would only say how often a frame is offered all the same.
        link.set_rate(80 * MBIT)

        def restart(name: str) -> None:
            if name not in system.processes.running:
                system.start_edge() if name == 'edge' else system.start_server()

        def cut(seconds: float) -> tuple:
            return (lambda: link.set_up(False)), (lambda: link.set_up(True)), seconds

        def send(number: int) -> Callable[[], None]:
            return lambda: system.process('edge').send_signal(number)
        kinds = {
            'link cut for 0.1 s': cut(0.1), 'link cut for 0.5 s': cut(0.5),
            'link cut for 3 s': cut(3.0),
            'edge stopped for 2 s': (send(signal.SIGSTOP), send(signal.SIGCONT), 2.0),
            'parameter server killed': (lambda: system.kill('server0'),
                                        lambda: restart('server0'), 1.0),
            # Last: the others would begin without an edge.
            'edge killed': (lambda: system.kill('edge'), lambda: restart('edge'), 1.0),
        }
        for what, (act, undo, hold) in kinds.items():
            acted: list[float] = []
            undone: list[float] = []
            # What is started again needs its time: about as long as the nodes took at first.
            pause = (20.0, 60.0) if 'killed' in what else (2.0, 5.0)
            times = 1 if 'killed' in what and bench.args.quick else 3
            recording, = bench.watch(
                system, bench.args.mode, disturbances.again(act, undo, hold, acted, undone, pause),
                **({'frames': 10**6, 'seconds': times * (hold + max(pause)) + 3}
                   if 'killed' in what or bench.args.quick else {}))
            frames = summary.frames(recording.events)
            found = seen[what] = figures(recording) | {
                'times': len(acted), 'returns_s': checks.returns(frames, undone)}
            made.append(checks.delivered(found, what))
            if 'killed' not in what:
                made.append(Check(f'{what}: longest until a frame is on the link again',
                                  max(found['returns_s'], default=math.nan), 1.0, 's'))
    return result(made, seen)


def drop(bench: Bench) -> dict:
    """d: bandwidth drops tenfold in the middle of a frame."""
    # Fast enough for plans to use the link also where a hedge takes of the same core.
    fast, slow, rounds, length = 200 * MBIT, 20 * MBIT, 5, 20.0 if bench.args.quick else 50.0
    alone, hit, seen = [], [], {}
    with bench.running('drop') as (bed, system):
        link = bed.links[0]
        link.set_rate(fast)
        # On a robot with less than one core nothing hedges by itself.
        system.set({'hedge': 'always'})
        for number in range(1 if bench.args.quick else rounds):
            # In turns: a shared machine is another one some minutes later.
            local, = bench.watch(system, 'local', frames=max(10, bench.frames // rounds))
            dropped: list[float] = []
            recording, = bench.watch(system, bench.args.mode, disturbances.again(
                lambda: link.set_rate(slow), lambda: link.set_rate(fast), 1.5, dropped, [],
                (1.0, 3.0)), deadline_ms=conditions.NO_DEADLINE, frames=10**6, seconds=length)
            alone += [f.latency for f in summary.frames(local.events)]
            hit += [f.latency for f in checks.hit(summary.frames(recording.events), dropped)
                    if f.report['bytes']]
            seen |= {f'local, round {number}': figures(local),
                     f'{bench.args.mode}, round {number}': figures(recording)}
    # What a frame would have taken alone nobody knows, and on a busy machine that differs from
    # frame to frame: so percentiles of the frames that were hit are compared with those alone.
    held = summary.percentiles(hit), summary.percentiles(alone)
    return result([
        *(checks.delivered(found, name) for name, found in seen.items()),
        *(Check(f'{name} of {len(hit)} frames / {name} of {len(alone)} alone on the device',
                held[0][name] / held[1][name], 1.1) for name in ('p50', 'p95')),
        Check('longest of these frames / p50 alone (of those alone: '
              f'{max(alone) / held[1]["p50"]:.2f})',
              max(hit, default=math.nan) / held[1]['p50'], 1.1)],
        seen | {'alone_ms': alone, 'dropped in mid-frame_ms': hit})


def robots(bench: Bench) -> dict:
    """e: three robots on one edge, and one of them goes mad."""
    rate, runs = 40 * MBIT, {}
    # As much as the link carries.
    tiles = rate / 5e4
    with bench.running('robots', 3) as (bed, system):
        for link in bed.links:
            link.set_rate(rate)

        def watch(*which: int) -> list[Recording]:
            return bench.watch(system, bench.args.mode, deadline_ms=conditions.NO_DEADLINE,
                               robots=which)
        runs['three'] = watch(0, 1, 2)
        runs['two'] = watch(0, 1)
        # The mad one has a core of its own in truth, but shares one with the others here: what
        # that alone does to them is no fault of the edge.
        with disturbances.flood(bed, 2, bench.model, tiles, aside=True):
            runs['flood aside'] = watch(0, 1)
        sent = bed.links[2].bytes()[0]
        with disturbances.flood(bed, 2, bench.model, tiles):
            runs['flood'] = watch(0, 1)
        sent = bed.links[2].bytes()[0] - sent
    made = [checks.delivered(figures(r), f'{name}, robot {k}')
            for name, recordings in runs.items() for k, r in enumerate(recordings)]
    middles = {name: [p50(r) for r in recordings] for name, recordings in runs.items()}
    made.append(Check('largest p50 / smallest p50', max(middles['three']) / min(middles['three']),
                      1.3))
    made += [Check(f'robot {k}: p50 with a flood of tiles / with one that stays on the mad robot '
                   f'(with none: {middles["two"][k] / middles["flood aside"][k]:.2f})',
                   mad / aside, 1.1)
             for k, (aside, mad) in enumerate(zip(middles['flood aside'], middles['flood']))]
    # A flood that did not arrive would prove nothing.
    made.append(Check('tiles (50 kB) of the flood that are missing to 100', 100 - sent / 5e4, 0))
    return result(made, {name: [figures(r) for r in recordings]
                         for name, recordings in runs.items()})


def soak(bench: Bench) -> dict:
    """f: half an hour at full rate: nothing grows."""
    seconds = 60 * (bench.args.minutes or (2 if bench.args.quick else 30))
    with bench.running('soak', servers=True) as (bed, system):
        bed.links[0].set_rate(80 * MBIT)
        recording, = bench.watch(system, bench.args.mode, frames=10**7, seconds=seconds,
                                 pause=0.0)
    made, seen = [checks.delivered(figures(recording), 'all frames')], {}
    for process in (name for name in recording.used if not name.startswith('driver')):
        grown = seen[process] = checks.growth(recording.samples, process)
        made += [Check(f'{process}: growth of memory after the first minute',
                       100 * grown['memory'], 2.0, '%'),
                 Check(f'{process}: threads more', grown['threads'], 0),
                 Check(f'{process}: open files more', grown['files'], 0)]
    return result(made, {'figures': figures(recording), 'growth': seen})


def result(made: list[Check], seen: dict) -> dict:
    """Give what a run leaves in the file."""
    return {'checks': [check.plain() for check in made], 'seen': seen}


RUNS = {run.__name__: run for run in (steady, loss, outages, drop, robots, soak)}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    runs = '\n'.join(f'  {name:<8} {run.__doc__}' for name, run in RUNS.items())
    parser = argparse.ArgumentParser(
        description=f'{__doc__}\nruns:\n{runs}\n  all      a to f',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('runs', nargs='+', choices=[*RUNS, 'all'], metavar='RUN', help='one of those above')
    add('--quick', action='store_true', help='20 frames each, a soak of 2 minutes')
    add('--mode', default='frontier', help='mode of the device node (default %(default)s)')
    add('--model', default='demo_detector', help='default: %(default)s')
    add('--frames', type=int, help='frames of a run (default 300)')
    add('--minutes', type=float, help='of the soak (default 30)')
    add('--deadline-ms', type=float, default=1000.0, help='default: %(default)g')
    add('--share', type=conditions.part_of_a_core, metavar='X',
        help='share of a core that a robot has (default 0.25)')
    add('--seed', type=int, default=0)
    add('--out', type=Path, default=Path('bench/results/runtime'), metavar='PATH',
        help='write PATH.json and PATH.md, keep logs in PATH/ (default %(default)s)')
    return parser.parse_args(arguments)


def save(args: argparse.Namespace, found: dict[str, dict]) -> None:
    """Write what all runs found, each with the commit that it measured."""
    ordered = {key: found[key] for key in RUNS if key in found}
    hosts = conditions.host(args)
    hosts['commit'] = ', '.join(f'{name} {each["host"]["commit"]}'
                                for name, each in ordered.items())
    lines = '\n'.join(f'- {key}: {value}' for key, value in hosts.items())
    record.write(args.out, ordered, (
        f'# What must hold of the runtime\n\nWritten by `bench/runtime.py`, mode '
        f'{args.mode}.\n\n{lines}\n\n{checks.table(ordered)}'))


def run(args: argparse.Namespace) -> int:
    """Make the runs, one after the other; 1 when something does not hold."""
    path = Path(f'{args.out}.json')
    path.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(path.read_text()) if path.exists() else {}
    names = list(RUNS) if 'all' in args.runs else args.runs
    bench = Bench(args)
    for name in tqdm(names, 'runs', unit='run'):
        found[name] = RUNS[name](bench) | {
            'host': conditions.host(args), 'mode': args.mode, 'model': args.model}
        save(args, found)
    print(checks.table({name: found[name] for name in names}))
    return int(not all(c['holds'] for name in names for c in found[name]['checks']))


def main(arguments: list[str] | None = None) -> int:
    """Run; SIGINT and SIGTERM end it and everything that it made."""
    return conditions.ending_well(lambda: run(parse(arguments)))


if __name__ == '__main__':
    sys.exit(main())
