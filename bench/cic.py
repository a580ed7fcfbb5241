"""
CIC's table against DADS's minimum cut and all cuts there are: same answers, time, sizes.

    python bench/cic.py [NAME ...] [--bandwidths 200] [--output bench/results/cic]

A file that is there already, of the same machine and settings, is added to. Machines are estimated
(multiply-adds, 20 G/s on the device and 300 G/s on the edge), and every operator's time on each is
multiplied by a log-normal factor (sigma 1, seeded by the model's name), so that no two models cut
alike. With a float32 input, which has more cuts to choose among, a quarter of the bandwidths is
tried. Times of decisions are measured, in turn within one process, in seconds of its own CPU time.
"""

import argparse
import os
import platform
import warnings
import zlib
from dataclasses import replace
from statistics import median
from time import process_time

import networkx
import numpy as np
import torch
from tqdm import tqdm

import command
import record
from intradp_ros.model import registry
from intradp_ros.model.capture import capture
from intradp_ros.planning.link import Link
from intradp_ros.planning.measure import processor
from intradp_ros.planning.plan import Encoding, Objective, Setup
from intradp_ros.planning.planners import cic, min_cut
from intradp_ros.planning.planners.partition import LATENCY, Partition, partition
from intradp_ros.planning.planners.region import Region
from intradp_ros.planning.profile import Profile, estimated

MODELS = [
    'alexnet', 'vgg19', 'resnet18', 'resnet50', 'resnet152', 'wide_resnet50_2', 'densenet121',
    'densenet201', 'googlenet', 'inception_v3', 'squeezenet1_1', 'mobilenet_v2',
    'mobilenet_v3_large', 'mnasnet1_0', 'shufflenet_v2_x1_0', 'efficientnet_b0', 'regnet_y_400mf',
    'convnext_tiny', 'swin_t', 'vit_b_16',
]
# Each with by how much the number of bandwidths is divided.
ENCODINGS = (Encoding(), 1), (Encoding('float32', 4.0), 4)
MOST_LISTED = 1_000_000
OBJECTIVE = Objective('latency')


def noisy(profile: Profile, rng: np.random.Generator) -> Profile:
    factors = rng.lognormal(0.0, 1.0, len(profile.seconds))
    return replace(profile, seconds=tuple(s.scaled(f) for s, f in zip(profile.seconds, factors)))


def every_cut(problem: Partition) -> np.ndarray | None:
    """(seconds, bytes) of all cuts that are not local; None where they are too many to list."""
    found = []
    for first, last in zip(problem.articulations, problem.articulations[1:]):
        closures = Region(problem, first, last).closures(MOST_LISTED)
        if closures is None:
            return None
        found += [totals.line(LATENCY) for totals in closures]
    return np.array(found)


def decision_seconds(table: cic.Table, link: Link, repeat: int = 20) -> float:
    start = process_time()
    for _ in range(repeat):
        table.decide(link, OBJECTIVE)
    return (process_time() - start) / repeat


def measure(name: str, bandwidths: int) -> dict:
    entry = registry.build(name, (224, 224))
    graph = capture(entry.module, registry.random_image((entry.height, entry.width), 1))
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    sides = noisy(estimated(graph, 2e10), rng), noisy(estimated(graph, 3e11), rng)
    rows = []
    for encoding, divisor in ENCODINGS:
        setup = Setup(*sides, encoding)
        prepared = []
        for _ in range(3):
            start = process_time()
            table = cic.prepare(setup, OBJECTIVE)
            prepared.append(process_time() - start)
        problem, local = partition(setup), table.cuts[-1].device
        cuts = every_cut(problem)
        errors, decisions, flows, chosen = [0.0], [], [], set()
        for bandwidth in 10 ** rng.uniform(5, 8, bandwidths // divisor):
            link = Link(float(bandwidth), round_trip=0.002)
            decisions.append(decision_seconds(table, link))
            start = process_time()
            cut = min_cut.least(problem, link, LATENCY)
            flows.append(process_time() - start)
            plan = table.decide(link, OBJECTIVE)
            latency = plan.run(link).latency
            chosen.add(f'{plan.way} {plan.merge}')
            errors.append(abs(problem.plan(cut, '').run(link).latency / latency - 1))
            if cuts is not None:
                answer = link.round_trip + setup.device.result_bytes / link.bandwidth
                best = min(local, (cuts @ [1.0, 1.0 / link.bandwidth]).min() + answer)
                errors.append(abs(best / latency - 1))
        rows.append({
            'model': name, 'input': encoding.name, 'operators': len(graph.operators),
            'arcs': sum(len(s.consumers) for s in problem.sends),
            'articulations': len(problem.articulations),
            'cuts': None if cuts is None else len(cuts) + 1,
            'lines': len(table.hulls['latency'].lines), 'chosen': len(chosen),
            'bandwidths': bandwidths // divisor, 'max_rel_difference': max(errors),
            'prepare_ms': 1e3 * median(prepared), 'decision_us': 1e6 * median(decisions),
            'min_cut_ms': 1e3 * median(flows),
            'min_cut_over_decision': median(flows) / median(decisions)})
    return {'rows': rows, 'load': os.getloadavg()[0]}


def table_of(result: dict) -> str:
    lines = [
        f'{result["cpu"]}, 1 thread, Python {result["python"]}, networkx {result["networkx"]}, '
        f'commit {result["commit"]}; {result["bandwidths"]} bandwidths (log-uniform, 0.1 to 100 '
        f'MB/s) each, a quarter of them with a float32 input; medians of CPU time.', '',
        'Difference: the largest of the simulated latency to that of min_cut and to the least of '
        'all cuts, relative. Lines: cuts left in the table besides local inference. Chosen: '
        'different decisions among the bandwidths. min_cut: building and solving the flow network '
        'of a problem that is posed already.', '',
        '| model | input | operators | arcs | all cuts | lines | chosen | difference | '
        'compression ms | decision us | min_cut ms | min_cut / decision |',
        '|---|---' + '|--:' * 10 + '|']
    for r in result['rows']:
        lines.append(
            f'| {r["model"]} | {r["input"]} | {r["operators"]} | {r["arcs"]} | '
            f'{"-" if r["cuts"] is None else r["cuts"]} | {r["lines"]} | {r["chosen"]} | '
            f'{r["max_rel_difference"]:.0e} | {r["prepare_ms"]:.1f} | {r["decision_us"]:.1f} | '
            f'{r["min_cut_ms"]:.1f} | {r["min_cut_over_decision"]:.0f} |')
    return '\n'.join(lines) + '\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('names', nargs='*', metavar='NAME', default=MODELS)
    parser.add_argument('--bandwidths', type=int, default=200)
    parser.add_argument('--output', metavar='PATH', help='write PATH.json and PATH.md')
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    fresh = {'cpu': processor(), 'python': platform.python_version(),
             'networkx': networkx.__version__, 'commit': record.commit(),
             'bandwidths': args.bandwidths, 'rows': []}
    result = record.continued(args.output, fresh, 'rows')
    for name in tqdm(args.names, unit='model'):
        found = measure(name, args.bandwidths)
        result['rows'] = [r for r in result['rows'] if r['model'] != name]
        result['rows'] += [{**row, 'load': found['load']} for row in found['rows']]
        if args.output:
            record.write(args.output, result, table_of(result))
    print(table_of(result))
    return 0


if __name__ == '__main__':
    command.leave(main)
