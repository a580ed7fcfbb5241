"""
The frontier planner against every other planner and against the bound, simulated.

    python bench/frontier.py [MODEL ...] [--profiles FOLDER] [--speedup 10] [--points 13]
        [--slowdown 8] [--call-us 20] [--trace F.csv] [--output bench/results/frontier]

For every model a profile is measured on this machine (one thread), or read from FOLDER/MODEL.json
(`intradp profile MODEL -o ...`). A server's core is no robot: the robot takes `--slowdown` times
as long for every operator (not for a message), and the edge is `--speedup` times as fast as the
robot. `--call-us` replaces the measured cost of bands by their share of the whole's and so many
microseconds a call: it shows how much of the distance to the bound is the kernels' and how much
is the plan's. Three questions, each answered side by side on one profile:

1. Known bandwidth, 0.1 to 50 MB/s, input as uint8, zlib and float32: is any exact planner better?
2. Known bandwidth, rho = C/D from 1/8 to 8: how far from the bound, and what does overlap gain
   over local, offload and the best sequential cut?
3. A bandwidth that the planners do not know: every half second of a trace a frame is planned with
   the bandwidth of one second before, and run on the trace. The robot is as slow as makes C = D at
   the trace's mean bandwidth.
"""

import argparse
import math
import os
import platform
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

import record
from intradp_ros.planning import planners
from intradp_ros.planning.bound import Limits
from intradp_ros.planning.encodings import encodings
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup
from intradp_ros.planning.planners import frontier
from intradp_ros.planning.profile import Profile, Staircase
from intradp_ros.planning.profile_file import load

MODELS = ('demo_detector', 'mobilenet_v2', 'squeezenet1_1', 'retinanet_resnet50_fpn',
          'ssd300_vgg16')
CODECS = ('uint8', 'zlib', 'float32')
RHOS = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
SEQUENTIAL = ('local', 'offload', 'neurosurgeon', 'min_cut', 'cic')
# A frame of the trace that no edge answers is cut off here (seconds).
HORIZON = 30.0
EXACT = tuple(n for n in planners.NAMES if n != 'jpeg_offload')


def planner_of(name: str, setup: Setup, objective: Objective):
    """Give a function from a link to a plan; frontier's candidates are made once."""
    if name == 'frontier':
        candidates = frontier.plans(setup, objective)
        return lambda link: frontier.choose(setup, candidates, link, objective)
    module = planners.find(name)
    return lambda link: module.plan(setup, link, objective)


def known(setup: Setup, links: list[Link], label: str) -> list[dict]:
    """Latency of every planner at links that it knows."""
    objective, rows = Objective(), []
    decide = {name: planner_of(name, setup, objective) for name in EXACT}
    limits = Limits(setup)
    for link in tqdm(links, label, leave=False):
        found = {}
        for name, plan in decide.items():
            chosen: Plan = plan(link)
            if chosen.exact:
                found[name] = chosen.run(link).latency
        mine = decide['frontier'](link)
        rows.append({
            'bandwidth': link.bandwidth, 'bound': limits.exact(link),
            'bound_shared_outputs': limits.exact(link, shared_outputs=True),
            'latency': found, 'way': mine.way, 'merge': mine.merge, 'tiles': mine.tiles})
    return rows


def unknown(setup: Setup, trace: list[tuple[float, float]], link: Link) -> dict:
    """Latency of every planner when its bandwidth is a second old, by frame of a trace."""
    objective = Objective()
    times, rates = np.array(trace).T
    frames = np.arange(times[0] + 1, times[-1] - HORIZON / 4, 0.5)
    found: dict[str, list[float]] = {}
    for name in EXACT:
        decide, plans = planner_of(name, setup, objective), {}
        found[name] = []
        for begin in tqdm(frames, f'trace: {name}', leave=False):
            old = rates[np.searchsorted(times, begin - 1, side='right') - 1]
            # A grid of 5 %: planners are asked once for what they would see again and again.
            key = round(math.log(max(old, 1e4)) / 0.05)
            if key not in plans:
                plans[key] = decide(replace(link, bandwidth=math.exp(0.05 * key)))
            at = max(0, np.searchsorted(times, begin, side='right') - 1)
            steps = tuple((max(0.0, float(t - begin)), float(r))
                          for t, r in zip(times[at:at + 64], rates[at:at + 64]))
            real = replace(link, steps=steps)
            found[name].append(min(HORIZON, plans[key].run(real).latency))
    return found


def read_trace(path: str | None, seconds: int = 300, seed: int = 0) -> list[tuple[float, float]]:
    """
    Read (seconds, bytes a second) from a CSV of t_s and MB/s; else draw a Wi-Fi-like one.

    Drawn: a bounded random walk on a logarithmic scale around 8 MB/s, 4 steps a second, with gaps
    of 0.1 to 1 s in which next to nothing passes, one in about 20 s.
    """
    if path:
        rows = [line.split(',')[:2] for line in Path(path).read_text().split()[1:]]
        return [(float(t), max(1e3, float(r) * 1e6)) for t, r in rows]
    rng = np.random.default_rng(seed)
    level, gap, trace = math.log(8e6), 0, []
    for step in range(4 * seconds):
        level = min(max(level + rng.normal(0, 0.25), math.log(5e5)), math.log(4e7))
        gap = max(0, gap - 1) or (int(rng.integers(1, 5)) if rng.random() < 1 / 80 else 0)
        trace.append((step / 4, 2e4 if gap else math.exp(level)))
    return trace


def profile_of(name: str, folder: str | None) -> Profile:
    """Read a model's profile, or measure it."""
    path = Path(folder or '') / f'{name}.json'
    if folder and path.exists():
        return load(path)
    from intradp_ros.cli.main import main
    path.parent.mkdir(parents=True, exist_ok=True)
    size = ['--size', '640x480'] if name == 'ssd300_vgg16' else []
    if main(['profile', name, *size, '--threads', '1', '-o', str(path)]):
        sys.exit(f'{name} could not be measured')
    return load(path)


def proportional(profile: Profile, call: float) -> Profile:
    """Let bands cost their share of the whole's time, and `call` seconds each."""
    seconds = []
    for o, whole in zip(profile.graph.operators, profile.whole):
        rows = profile.graph.tensors[o.output].rows
        least = min(call, whole)
        seconds.append(Staircase((1, rows), (least + (whole - least) / rows, whole))
                       if rows > 1 else Staircase((1,), (whole,)))
    return replace(profile, seconds=tuple(seconds), least_rows=())


def measure(name: str, args: argparse.Namespace) -> dict:
    """Answer the three questions for one model."""
    device = profile_of(name, args.profiles)
    if args.call_us is not None:
        device = proportional(device, args.call_us / 1e6)
    device = device.scaled(args.slowdown)
    edge = device.scaled(1 / args.speedup)
    coded = encodings(device, edge)
    base = device.sending(Link(1e6, args.rtt / 1e3))
    result: dict = {'model': name, 'D_ms': device.total * 1e3, 'V_ms': edge.total * 1e3}
    grid = np.geomspace(1e5, 5e7, args.points)
    result['known'] = {codec: known(Setup(device, edge, coded[codec]),
                                    [replace(base, bandwidth=float(b)) for b in grid],
                                    f'{name} {codec}') for codec in CODECS}
    setup = Setup(device, edge, coded['uint8'])
    rhos = known(setup, [replace(base, bandwidth=setup.input_bytes / (rho * device.total))
                         for rho in RHOS], f'{name} rho')
    result['rho'] = [{'rho': rho, **row} for rho, row in zip(RHOS, rhos)]
    # A robot for which the trace is neither fast nor slow: C = D at its mean bandwidth.
    trace = read_trace(args.trace)
    mean = float(np.mean([rate for _, rate in trace]))
    slow = device.scaled(setup.input_bytes / mean / device.total)
    robot = Setup(slow, slow.scaled(1 / args.speedup), coded['uint8'])
    times = unknown(robot, trace, base)
    result['trace_D_ms'] = slow.total * 1e3
    result['trace'] = {n: {'mean': float(np.mean(t)), 'p95': float(np.percentile(t, 95))}
                       for n, t in times.items()}
    return result


def worst(result: dict) -> tuple[float, str]:
    """Largest ratio of frontier to the best other exact planner, and where."""
    ratios = []
    for codec, rows in result['known'].items():
        for row in rows:
            best = min((t, n) for n, t in row['latency'].items() if n != 'frontier')
            ratios.append((row['latency']['frontier'] / best[0],
                           f'{codec}, {row["bandwidth"] / 1e6:.2g} MB/s, {best[1]}'))
    return max(ratios)


def table(results: list[dict], about: dict) -> str:
    """Write the results for people."""
    lines = ['# The frontier planner, simulated', '',
             f'`{about["command"]}` on {about["processor"]}, profiles measured with one thread'
             f'{about["bands"]}; the robot takes {about["slowdown"]:g} times as long, the edge is '
             f'{about["speedup"]:g} times as fast as the robot; round trip '
             f'{about["rtt_ms"]:g} ms; '
             f'commit {about["commit"]}. Latencies are of the timeline, so what is compared is '
             'plans, not machines.', '',
             '## Known bandwidth: frontier against the best other exact planner', '',
             '| model | D ms | points | worst ratio | where, and who was best |',
             '|---|---|---|---|---|']
    for r in results:
        ratio, where = worst(r)
        count = sum(len(rows) for rows in r['known'].values())
        lines.append(f'| {r["model"]} | {r["D_ms"]:.1f} | {count} | {ratio:.3f} | {where} |')
    lines += ['', '## Distance to the bound, uint8 input', '',
              'rho = C / D. `bound`: outputs on one side (what the nodes can do); `wider`: each '
              'side may compute some rows of the outputs. `gain`: frontier over the best of '
              'local, offload and the best sequential cut.', '',
              '| model | rho | frontier / D | way | bound / D | ratio | wider / D | gain |',
              '|---|---|---|---|---|---|---|---|']
    for r in results:
        D = r['D_ms'] / 1e3
        for row in r['rho']:
            mine = row['latency']['frontier']
            rivals = min(row['latency'][n] for n in SEQUENTIAL if n in row['latency'])
            lines.append(
                f'| {r["model"]} | {row["rho"]:g} | {mine / D:.3f} | {row["way"]} '
                f'{row["merge"]} x {row["tiles"]} | {row["bound"] / D:.3f} | '
                f'{mine / row["bound"]:.2f} | {row["bound_shared_outputs"] / D:.3f} | '
                f'{mine / rivals:.2f} |')
    lines += ['', '## Unknown bandwidth: plans made with the bandwidth of a second before', '',
              f'Trace: {about["trace"]}. Mean / p95 in units of D; a frame that gets no answer '
              f'counts {HORIZON:g} s.', '',
              '| model | ' + ' | '.join(EXACT) + ' |', '|---' * (len(EXACT) + 1) + '|']
    for r in results:
        D = r['trace_D_ms'] / 1e3
        lines.append(f'| {r["model"]} | ' + ' | '.join(
            f'{r["trace"][n]["mean"] / D:.2f} / {r["trace"][n]["p95"] / D:.2f}'
            for n in EXACT) + ' |')
    return '\n'.join(lines) + '\n'


def main() -> int:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='*', default=list(MODELS), metavar='MODEL')
    parser.add_argument('--profiles', metavar='FOLDER', default='profiles')
    parser.add_argument('--slowdown', type=float, default=8.0)
    parser.add_argument('--call-us', type=float, metavar='US')
    parser.add_argument('--speedup', type=float, default=10.0)
    parser.add_argument('--rtt', type=float, default=2.0, metavar='MS')
    parser.add_argument('--points', type=int, default=13)
    parser.add_argument('--trace', metavar='F.csv', help='columns t_s and MB/s; default: drawn')
    parser.add_argument('--output', default='bench/results/frontier')
    args = parser.parse_args()
    commit = record.commit()
    results = [measure(name, args) for name in tqdm(args.models, 'models')]
    measured = load(Path(args.profiles) / f'{args.models[0]}.json')
    call = '' if args.call_us is None else f' --call-us {args.call_us:g}'
    about = {'command': f'python bench/frontier.py --points {args.points}{call}',
             'bands': call and f', bands at their share of the whole, {args.call_us:g} us a call',
             'processor': measured.processor,
             'cores': os.cpu_count(), 'python': platform.python_version(),
             'commit': commit, 'slowdown': args.slowdown, 'speedup': args.speedup,
             'rtt_ms': args.rtt,
             'trace': Path(args.trace).name if args.trace else 'drawn, seed 0'}
    record.write(args.output, {'about': about, 'results': results}, table(results, about))
    print(table(results, about))
    return 0


if __name__ == '__main__':
    sys.exit(main())
