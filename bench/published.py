"""
Simulated `offload` and `intra_dp` against the latencies that the authors of Intra-DP published.

    python bench/published.py ../shared/data/jetson_nx [--output bench/results/published]

Profiles and latencies are from run logs of a Jetson Xavier NX with a desktop-GPU server. The
transport is theirs: 1.06 S/B for whole messages, both ways, and a constant a frame that covers
both messages of offload, half of it each. That constant is the only thing fitted (the median of
what offload leaves unexplained, per model): so `offload` tests the shape over bandwidth, and
`intra_dp` (halo 0, as published; planned, as theirs was, without knowing what the transport
costs) is a prediction.

Beside it, apart: the same with kernels of which a share of the time does not shrink with the rows
(the launch share), fitted to intra_dp to explain the difference. And what the ways of this package
would take on the same profiles, with uint8 input and this package's transport.
"""

import argparse
import csv
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
from tqdm import tqdm

import published_report as report
import record
from intradp_ros.planning import ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Encoding, Objective, Plan, Setup, best
from intradp_ros.planning.planners import frontier, intra_dp
from intradp_ros.planning.profile import Profile, Staircase
from intradp_ros.planning.table import read_table
from intradp_ros.planning.timeline import Task

MODELS = ('vgg19_bn', 'resnet152', 'densenet121', 'agrnav')
ENVIRONMENT = 'indoors'
OVERHEAD = 1.06
WHOLE = 10**12  # bytes of a message: as many as there are
LAUNCH_SHARES = [i / 20 for i in range(21)]
# This package's transport: round trip and cost a message of a good Wi-Fi link.
OURS = {'round_trip': 3e-3, 'message_seconds': 1e-4, 'overhead': 1.03}
COMPARED = (5, 10, 20)  # MB/s
Curve = dict[int, float]  # MB/s -> seconds


@dataclass(frozen=True)
class Published:
    """Median latencies of one model in seconds."""

    local: float
    offload: Curve
    intra_dp: Curve


def read_published(path: Path, model: str) -> Published:
    with path.open(newline='') as file:
        rows = [r for r in csv.DictReader(file) if r['model'] == model]

    def curve(method: str) -> Curve:
        return {int(r['bandwidth_MBps']): float(r['median_ms']) / 1e3 for r in rows
                if r['method'] == method and r['environment'] == ENVIRONMENT}

    local = next(float(r['median_ms']) / 1e3 for r in rows if r['method'] == 'local')
    return Published(local, curve('offload'), curve('intra_dp'))


def with_launches(profile: Profile, share: float) -> Profile:
    """Of each operator's time, `share` is spent however few rows are computed."""
    seconds = []
    for operator, whole in zip(profile.graph.operators, profile.whole):
        rows = profile.graph.tensors[operator.output].rows
        heights = (1, rows) if rows > 1 else (1,)
        seconds.append(Staircase(heights, tuple(
            whole * (share + (1 - share) * r / rows) for r in heights)))
    return replace(profile, seconds=tuple(seconds))


def with_byte_output(profile: Profile) -> Profile:
    """
    The output is one byte a voxel, and all of it is the result that comes back.

    The table's last operator is the conversion to that type; its readers take all else as float32.
    """
    graph = profile.graph
    tensors = [replace(t, dtype=torch.uint8) if t.id in graph.outputs else t
               for t in graph.tensors]
    return replace(profile, graph=replace(graph, tensors=tuple(tensors)),
                   result_bytes=sum(tensors[t].bytes for t in graph.outputs))


def sliced(setup: Setup, share: float) -> Setup:
    """The setup with a launch share on both sides."""
    return replace(setup, device=with_launches(setup.device, share),
                   edge=with_launches(setup.edge, share))


def theirs(bandwidth: float, constant: float) -> Link:
    return Link(bandwidth, message_seconds=constant / 2, message_bytes=WHOLE, overhead=OVERHEAD)


def fitted_constant(setup: Setup, published: Curve) -> float:
    """What offload takes beyond bytes and the server: the median over bandwidths."""
    plan = ways.sequential(setup, (), 'offload')
    return max(0.0, median(seconds - plan.run(theirs(1e6 * b, 0.0)).latency
                           for b, seconds in published.items()))


def chosen_shares(setup: Setup, bandwidths: list[int]) -> dict[int, int]:
    """Number of the combination of shares that intra_dp chooses for each bandwidth."""
    plans = shared_plans(setup)
    return {b: plans.index(best(setup, plans, Link(1e6 * b), Objective())) for b in bandwidths}


def shared_plans(setup: Setup) -> list[Plan]:
    """All that the published planner chooses from, in an order that depends on the graph only."""
    segment = intra_dp.segments(setup.graph, intra_dp.candidates(setup))
    return [ways.local(setup, 'intra_dp'), *intra_dp.published(setup, segment)]


def errors(simulated: Curve, published: Curve) -> float:
    return median(abs(simulated[b] / published[b] - 1) for b in published)


def our_best(setup: Setup, bandwidth: float) -> Plan:
    """
    The best of this package's ways that do not depend on a halo, which the tables do not have.

    Local, streamed offload with a hedge, streamed cuts; `frontier` chooses among the same.
    """
    graph = setup.graph
    plans = [ways.local(setup, 'ways')]
    for tiles in (1, 2, 4, 8, 16):
        plans += [ways.streamed(setup, t.id, tiles, 'ways', hedge=True)
                  for t in graph.merge_candidates()
                  if setup.tensor_bytes(t.id) <= setup.input_bytes]
    return best(setup, plans, Link(bandwidth, **OURS), Objective())


def answered_in_bands(plan: Plan) -> Plan:
    """
    What a streamed plan would take if each band of a large result came down when it is computed.

    Not something that the package does: its results are detections. The tables have no geometry,
    so a band of the input is taken to give a band of the result.
    """
    def script(link: Link):
        tasks, ends = plan.script(link)
        answer = next(n for n in ends if tasks[n].resource == 'downlink')
        bands = [n for n, t in enumerate(tasks) if t.resource == 'edge' and t.label[:4] == 'band']
        tasks = list(tasks)
        size = tasks[answer].size / len(bands)
        previous: tuple[int, ...] = ()
        for band in bands[:-1]:
            tasks.append(Task('downlink', size=size, after=(band, *previous)))
            previous = (len(tasks) - 1,)
        tasks[answer] = replace(tasks[answer], size=size,
                                after=(*tasks[answer].after, *previous))
        return tasks, ends
    return replace(plan, script=script, way=f'{plan.way}, result in bands')


def compare(folder: Path, model: str) -> dict:
    """Everything that is said of one model; times in milliseconds."""
    published = read_published(folder / 'published_latency.csv', model)
    is_bytes = model == 'agrnav'
    device, edge = read_table(folder / f'{model}.csv', 'uint8' if is_bytes else 'float32')
    if is_bytes:
        device, edge = with_byte_output(device), with_byte_output(edge)
    setup = Setup(device, edge, Encoding('uint8') if is_bytes else Encoding('float32', 4.0))
    constant = fitted_constant(setup, published.offload)
    offload = ways.sequential(setup, (), 'offload')
    simulated = {'offload': {b: offload.run(theirs(1e6 * b, constant)).latency
                             for b in published.offload}}
    bandwidths = list(published.intra_dp)
    chosen = chosen_shares(setup, bandwidths)
    by_share = {}
    for share in tqdm(LAUNCH_SHARES, f'{model}: launch share'):
        plans = shared_plans(sliced(setup, share)) if share else shared_plans(setup)
        by_share[share] = {b: plans[chosen[b]].run(theirs(1e6 * b, constant)).latency
                           for b in bandwidths}
    simulated['intra_dp'] = by_share[0]
    launch = min(LAUNCH_SHARES, key=lambda s: errors(by_share[s], published.intra_dp))
    plain = replace(setup, encoding=Encoding('uint8'))
    found = []
    for b in (b for b in COMPARED if b in published.intra_dp):
        row = {'MB/s': b, 'published': 1e3 * published.intra_dp[b]}
        for label, share in (('ours', 0.0), ('ours_with_launches', launch)):
            here = sliced(plain, share)
            plan = our_best(here, 1e6 * b)
            link = Link(1e6 * b, **OURS)
            shared = intra_dp.plan(here, link, Objective(halo=0))
            row[f'{label}_intra_dp'] = 1e3 * shared.run(link).latency
            row[label] = 1e3 * plan.run(link).latency
            row[f'{label}_way'] = f'{plan.way}, {plan.tiles} tiles'
            row[f'{label}_frontier'] = 1e3 * frontier.plan(
                here, link, Objective()).run(link).latency
        if device.result_bytes > 100_000:
            streamed = answered_in_bands(ways.streamed(plain, plain.graph.input, 16, 'ways'))
            row['result_in_bands'] = 1e3 * streamed.run(Link(1e6 * b, **OURS)).latency
        found.append(row)
    plans = shared_plans(setup)
    return {
        'model': model, 'constant_ms': 1e3 * constant,
        'local_ms': {'published': 1e3 * published.local, 'profile': 1e3 * device.total},
        'edge_ms': 1e3 * edge.total,
        'error': {name: errors(simulated[name], getattr(published, name)) for name in simulated},
        'launch_share': launch, 'error_with_launches': errors(by_share[launch],
                                                              published.intra_dp),
        'ratio': {b: simulated['intra_dp'][b] / published.intra_dp[b] for b in bandwidths},
        'way': {b: f'{plans[n].way} at {plans[n].merge}' if n else 'local'
                for b, n in chosen.items()},
        'published_ms': {'offload': milliseconds(published.offload),
                         'intra_dp': milliseconds(published.intra_dp)},
        'simulated_ms': {**{name: milliseconds(curve) for name, curve in simulated.items()},
                         'intra_dp with launches': milliseconds(by_share[launch])},
        'frontier': found,
    }


def milliseconds(curve: Curve) -> Curve:
    return {b: round(1e3 * seconds, 2) for b, seconds in curve.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('folder', type=Path, help='where the tables and published_latency.csv lie')
    parser.add_argument('--output', default='bench/results/published', metavar='PATH',
                        help='write PATH.json, PATH.md and PATH.png')
    args = parser.parse_args()
    results = [compare(args.folder, model) for model in MODELS]
    record.write(args.output, results, report.markdown(results))
    report.draw(results, Path(f'{args.output}.png'))
    print(report.markdown(results), end='')


if __name__ == '__main__':
    main()
