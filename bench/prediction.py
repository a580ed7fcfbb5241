"""
What the timeline predicts of a frame, against real nodes on a test bed (root; bench/testbed).

    scripts/run python bench/prediction.py --rates 0.5 1 2 5 10 --frames 60

Profiles are measured on the processors of the bed, before the nodes start. Then the nodes run
local inference, offload, cuts at the natural bottleneck (all of its bands from the device) and a
split of it (half of them), in several tile counts, at every bandwidth, and the median latency of
their reports is held against `simulate`. The share of headers is the one that was counted on the
link; nothing is fitted to a time. Results go to bench/results/prediction.{json,md}.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from intradp_ros.planning import profile_file, ways
from intradp_ros.planning.encodings import encodings
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Plan, Setup
from intradp_ros.tiling.split import bottleneck

sys.path.insert(0, str(Path(__file__).parent))
import bench_model  # noqa: E402
import record  # noqa: E402
from testbed.bed import TestBed  # noqa: E402
from testbed.summary import summarize  # noqa: E402
from testbed.system import System  # noqa: E402

RESULTS = Path(__file__).parent / 'results'
# (mode, tiles, share of the bottleneck's rows on the device)
CASES = (('local', 1, 1.0), ('offload', 1, 0.0), ('offload', 8, 0.0), ('cut', 1, 1.0),
         ('cut', 2, 1.0), ('cut', 6, 1.0), ('split', 2, 0.5))


def parameters(mode: str, tiles: int, share: float) -> dict[str, object]:
    """Give what a device node is told to do a case."""
    # The deadline is for users; here the edge's answer is waited for.
    return {'mode': 'split' if mode == 'cut' else mode, 'codec': 'uint8', 'tile_count': tiles,
            'device_share': share, 'deadline_ms': 60000.0}


def plan(setup: Setup, mode: str, tiles: int, share: float) -> Plan:
    """Give the plan that the nodes then carry out."""
    merge = bottleneck(setup.graph).id
    if mode == 'local':
        return ways.local(setup)
    if mode == 'split':
        return ways.split(setup, merge, share, tiles, mode)
    return ways.streamed(setup, setup.graph.input if mode == 'offload' else merge, tiles, mode)


def measure_profile(prefix: list[str], path: Path, budget: float) -> None:
    """Measure the model on one side's processor."""
    line = [*prefix, sys.executable, '-m', 'intradp_ros.cli.main', 'profile', 'demo_detector',
            '--threads', '1', '--budget', str(budget), '-o', str(path)]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def measured(system: System, bed: TestBed, rates: list[float], frames: int) -> Iterator[dict]:
    """Run the nodes in every case at every bandwidth."""
    runs = [(case, rate) for rate in rates for case in CASES
            if case[0] != 'local' or rate == rates[0]]
    for case, rate in tqdm(runs, unit='run', file=sys.stderr, disable=not sys.stderr.isatty()):
        bed.links[0].set_rate(rate)
        system.set(parameters(*case))
        recording, = system.watch(frames=frames, warmup=5)
        figures = summarize(recording.events, recording.used, recording.crossed)
        yield {'mode': case[0], 'tiles': case[1], 'share': case[2], 'rate': rate,
               'measured_ms': figures['latency_ms']['p50'],
               'interval_ms': figures['latency_median_interval_ms'],
               'bytes': figures['bytes_per_frame'],
               'link_bytes': figures['link_bytes_per_frame']['up'],
               'fallbacks': figures['fallbacks'], 'stages_ms': figures['stages_ms']}


def predicted(setup: Setup, run: dict, overhead: float, round_trip: float) -> dict:
    """Simulate the frame of one run."""
    link = setup.device.sending(Link(run['rate'], round_trip, overhead=overhead))
    done = plan(setup, run['mode'], run['tiles'], run['share'])
    latency = 1e3 * done.run(link).latency
    return run | {'predicted_ms': latency, 'error': latency / run['measured_ms'] - 1}


def report(result: dict) -> str:
    """Write the table for people."""
    lines = ['# Predicted and measured latency', '',
             f'{result["host"]}, torch {result["torch"]}, commit {result["commit"]}; load '
             f'{result["load"]:.1f} at the end. Robot {result["device_ms"]:.0f} ms, edge '
             f'{result["edge_ms"]:.0f} ms for the model; {result["overhead"]:.3f} bytes on the '
             f'link for each byte of data. Medians of {result["frames"]} frames.', '',
             '| mode | tiles | MB/s | measured ms | predicted ms | error |',
             '|---|---|---|---|---|---|']
    lines += [f'| {r["mode"]} | {r["tiles"]} | {r["rate"] / 1e6:g} | {r["measured_ms"]:.1f} | '
              f'{r["predicted_ms"]:.1f} | {r["error"]:+.0%} |' for r in result['runs']]
    return '\n'.join([*lines, '', f'Median error: {result["median_error"]:.1%}.', ''])


def main() -> None:
    """Measure, predict, and write both down."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rates', type=float, nargs='+', default=[0.5, 1, 2, 5, 10],
                        metavar='MB/s')
    parser.add_argument('--frames', type=int, default=60, help='a run (default %(default)s)')
    parser.add_argument('--budget', type=float, default=60.0, metavar='S',
                        help='seconds for each profile (default %(default)s)')
    parser.add_argument('--rtt', type=float, default=1.0, metavar='MS',
                        help='of the link and the middleware (default %(default)s)')
    parser.add_argument('--out', type=Path, default=RESULTS, metavar='DIR')
    args = parser.parse_args()
    rates = [r * 1e6 for r in args.rates]
    with tempfile.TemporaryDirectory() as name, TestBed(rate=rates[0]) as bed:
        folder = Path(name)
        for side, prefix in (('device', bed.on_robot()), ('edge', bed.on_edge())):
            measure_profile(prefix, folder / f'{side}.json', args.budget)
        device, edge = (profile_file.load(folder / f'{s}.json') for s in ('device', 'edge'))
        setup = Setup(device, edge, encodings(device, edge)['uint8'])
        images = folder / 'images.npy'
        bench_model.draw_images(images, 0)
        with System(bed, folder / 'logs', bench_model.parameters('demo_detector'),
                    images) as system:
            runs = list(measured(system, bed, rates, args.frames))
    sent = [r for r in runs if r['bytes']]
    overhead = sum(r['link_bytes'] for r in sent) / sum(r['bytes'] for r in sent)
    runs = [predicted(setup, run, overhead, args.rtt / 1e3) for run in runs]
    result = {
        'host': f'{device.processor}, {os.cpu_count()} cores', 'python': platform.python_version(),
        'torch': torch.__version__, 'load': os.getloadavg()[0], 'frames': args.frames,
        'commit': record.commit(),
        'device_ms': 1e3 * setup.device.total, 'edge_ms': 1e3 * setup.edge.total,
        'overhead': overhead, 'runs': runs,
        'median_error': statistics.median(abs(r['error']) for r in runs),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    record.write(args.out / 'prediction', result, report(result))
    print(report(result))


if __name__ == '__main__':
    main()
