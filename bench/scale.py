"""What happens with more robots, more tiles, more pixels."""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

import bench_model
import conditions
import grid
from testbed import summary
from testbed.shell import BedError
from testbed.system import Recording, System

TILES = (1, 2, 4, 8, 16, 32, 64)
SIZES = ('320x256', '480x384', '640x480', '960x736', '1280x960')
# Looks of the parameter server (one a second) until its choice counts.
SETTLED = 15.0


def run(args: argparse.Namespace) -> None:
    """Measure the series that are missing, on the first model."""
    name = args.models[0]
    series = {'robots': robots, 'tiles': tiles, 'size': sizes}
    for what, measure in tqdm(series.items(), 'scale', unit='series'):
        if grid.load(args.out, f'scale-{what}') is None:
            found = measure(args, name, conditions.calibrate(args, name))
            grid.save(args.out, f'scale-{what}', found | {'name': f'scale-{what}'})


def point(value: object, x: float, recordings: list[Recording], **more: object) -> dict:
    """Sum up what robots did at one value of what is varied."""
    times = [summary.frames(recording.events) for recording in recordings]
    every = [frame.latency for frames in times for frame in frames]
    figures = [summary.summarize(r.events, r.used, r.crossed) for r in recordings]
    return {'value': value, 'x': x, **{p: summary.percentiles(every)[p] for p in ('p50', 'p95')},
            'throughput': sum(summary.throughput(frames) for frames in times),
            'bytes': float(np.mean([f['bytes_per_frame'] for f in figures])), **more}


def ours(system: System) -> str:
    """Set mode `frontier`, or `offload` where the nodes have no such mode; say which."""
    for mode in ('frontier', 'offload'):
        try:
            for number in range(len(system.robots)):
                system.set({'mode': mode}, number)
            return mode
        except BedError as error:
            refused = error
    raise refused


def robots(args: argparse.Namespace, name: str, calibration: dict) -> dict:
    """Let 1 to 8 robots share the edge, each with its own link at rho = 1."""
    points, mode = [], ''
    for count in (1, 2) if args.quick else (1, 2, 4, 8):
        with conditions.running(args, bench_model.parameters(name), count,
                             label=f'robots{count}') as (bed, system):
            mode = ours(system)
            for link in bed.links:
                link.set_rate(conditions.rate_of(1.0, calibration))
            recordings = system.watch(frames=args.frames, warmup=5, patience=60.0)
            middles = [summary.percentiles([f.latency for f in summary.frames(r.events)])['p50']
                       for r in recordings]
            note = (f'largest p50 / smallest p50 {max(middles) / min(middles):.2f}; '
                    f'a robot has {bed.robot.share:.2f} of a core')
        points.append(point(count, count, recordings, note=note))
    return {'title': f'Robots on one edge ({name}, {mode})', 'variable': 'robots',
            'text': 'Each robot has a link of its own at rho = 1. Frames a second are those of '
                    'all robots together.', 'points': points}


def tiles(args: argparse.Namespace, name: str, calibration: dict) -> dict:
    """
    Vary the tile count at rho = 1, then ask the parameter server for its choice.

    Of a mode by hand: in the others plans say how many tiles there are.
    """
    model, points = bench_model.parameters(name), []
    rate, mode = conditions.rate_of(1.0, calibration), {'mode': 'offload', 'codec': 'uint8'}
    with conditions.running(args, model, label='tiles') as (bed, system):
        bed.links[0].set_rate(rate)
        system.set(mode)
        for count in TILES:
            system.set({'tile_count': count})
            points.append(point(count, count, system.watch(
                frames=args.frames, warmup=5, patience=60.0)))
    best = min(p['p50'] for p in points)
    with conditions.running(args, model, label='tiles-server', servers=True) as (bed, system):
        bed.links[0].set_rate(rate)
        system.set(mode)
        system.watch(seconds=SETTLED, warmup=1, patience=60.0)
        recordings = system.watch(frames=args.frames, warmup=5, patience=60.0)
        chosen = int(np.median([f.report['tiles']
                                for f in summary.frames(recordings[0].events)]))
    found = point(f'server: {chosen}', chosen, recordings)
    found['note'] = f'{found["p50"] / best:.2f} of the best count by hand'
    return {'title': f'Tiles of a frame ({name}, offload, rho = 1)', 'variable': 'tile count',
            'text': 'The last row is what the parameter server chose by itself.',
            'points': [*points, found]}


def sizes(args: argparse.Namespace, name: str, calibration: dict) -> dict:
    """Vary the model's input at the bandwidth of rho = 1."""
    points, mode = [], ''
    for size in SIZES[:2] if args.quick else SIZES:
        width, height = map(int, size.split('x'))
        images = Path(args.out) / f'images-{size}.npy'
        bench_model.draw_images(images, args.seed, height, width)
        with conditions.running(args, bench_model.parameters(name, size), label=f'size{size}',
                             images=images) as (bed, system):
            mode = ours(system)
            bed.links[0].set_rate(conditions.rate_of(1.0, calibration))
            recordings = system.watch(frames=args.frames, warmup=5, patience=120.0)
        points.append(point(size, width * height, recordings))
    first = points[0]
    for each in points:
        ratio = each['p50'] / first['p50'] / (each['x'] / first['x'])
        each['note'] = f'{ratio:.2f} of the latency a pixel of the smallest'
    return {'title': f'Size of the input ({name}, {mode})', 'variable': 'pixels',
            'text': 'The bandwidth is that of rho = 1 at the usual size.', 'points': points}
