"""What happens with more robots, more tiles, more pixels."""

import argparse
import random

import numpy as np
from tqdm import tqdm

import bench_model
import conditions
import expectation
import grid
from methods import METHODS
from testbed import summary
from testbed.shell import BedError
from testbed.system import Recording, System, join

ROBOTS = (1, 2, 4, 8)
TILES = (1, 2, 4, 8, 16, 32, 64)
SIZES = ('320x256', '480x384', '640x480', '960x736', '1280x960')
USUAL_PIXELS = 640 * 480
# In so many turns the frames of a tile count are seen: a shared machine is not the same for long.
TURNS = 4
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
    """Sum up what robots did at one value of what is varied; `more` counts more."""
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
    """Let 1 to 8 robots, all as slow, share the edge, each with its own link at rho = 1."""
    points, mode, counts = [], '', (1, 2) if args.quick else ROBOTS
    usual = conditions.bed_of(args).robot.share
    for count in tqdm(counts, 'robots', leave=False):
        with conditions.running(args, bench_model.parameters(name), count,
                                label=f'robots{count}', most=max(counts)) as (bed, system):
            mode = ours(system)
            # Slower robots take longer alone: rho = 1 is a slower link.
            slower = usual / bed.robot.share
            for link in bed.links:
                link.set_rate(conditions.rate_of(1.0, calibration) / slower)
            recordings = system.watch(
                frames=args.frames, patience=60.0,
                warmup=METHODS[mode].warmup(slower * calibration['device_ms'] / 1e3))
            middles = [summary.percentiles([f.latency for f in summary.frames(r.events)])['p50']
                       for r in recordings]
            note = f'largest p50 / smallest p50 {max(middles) / min(middles):.2f}'
        points.append(point(count, count, recordings, note=note))
    return {'title': f'Robots on one edge ({name}, {mode})', 'variable': 'robots',
            'text': f'Each robot has {bed.robot.share:.2f} of a core, however many there are, and '
                    'a link of its own at rho = 1. Frames a second are those of all robots '
                    'together.', 'points': points}


def tiles(args: argparse.Namespace, name: str, calibration: dict) -> dict:
    """
    Ask the parameter server for its tile count at rho = 1, then vary it by hand.

    Of a mode by hand: in the others plans say how many tiles there are.
    """
    model = bench_model.parameters(name)
    rate, mode = conditions.rate_of(1.0, calibration), {'mode': 'offload', 'codec': 'uint8'}
    with conditions.running(args, model, label='tiles-server', servers=True) as (bed, system):
        bed.links[0].set_rate(rate)
        system.set(mode)
        system.watch(seconds=SETTLED, warmup=1, patience=60.0)
        recordings = system.watch(frames=args.frames, warmup=5, patience=60.0)
    chosen = int(np.median([f.report['tiles'] for f in summary.frames(recordings[0].events)]))
    server = point(f'server: {chosen}', chosen, recordings)
    counts = sorted({*TILES, chosen})
    seen: dict[int, list[Recording]] = {count: [] for count in counts}
    with conditions.running(args, model, label='tiles') as (bed, system):
        bed.links[0].set_rate(rate)
        system.set(mode)
        turns = [(turn, count) for turn in range(TURNS)
                 for count in random.Random(turn).sample(counts, len(counts))]
        for turn, count in tqdm(turns, 'tile counts', leave=False):
            system.set({'tile_count': count})
            seen[count] += system.watch(warmup=5, patience=60.0, frames=args.frames * (turn + 1)
                                        // TURNS - args.frames * turn // TURNS)
    points = [point(count, count, [join(found)], throughput=float(np.mean(
        [summary.throughput(summary.frames(turn.events)) for turn in found])))
              for count, found in seen.items()]
    middle = {found['value']: found['p50'] for found in points}
    server['note'] = f'by hand this count takes {middle[chosen] / min(middle.values()):.2f} ' \
                     'of the best one'
    return {'title': f'Tiles of a frame ({name}, offload, rho = 1)', 'variable': 'tile count',
            'text': f'Counts by hand had {TURNS} turns each. The last row is what the parameter '
                    'server chose by itself, in processes of its own. A tile of more than '
                    f'{expectation.MESSAGE_BYTES / 1e3:.0f} kB is several messages, and the edge '
                    'computes what it has: few tiles lose little.',
            'points': [*points, server]}


def sizes(args: argparse.Namespace, name: str, calibration: dict) -> dict:
    """Vary the model's input at the bandwidth of rho = 1."""
    points, mode = [], ''
    for size in tqdm(SIZES[:2] if args.quick else SIZES, 'sizes', leave=False):
        width, height = map(int, size.split('x'))
        model, images = bench_model.parameters(name, size), args.out / f'images-{size}.npy'
        bench_model.draw_images(images, args.seed, height, width)
        conditions.profile(args, model)
        with conditions.running(args, model, label=f'size{size}', images=images) as (bed, system):
            mode = ours(system)
            bed.links[0].set_rate(conditions.rate_of(1.0, calibration))
            each = width * height / USUAL_PIXELS * calibration['device_ms'] / 1e3
            recordings = system.watch(frames=args.frames, patience=120.0,
                                      warmup=METHODS[mode].warmup(each))
        points.append(point(size, width * height, recordings))
    first = points[0]
    for each in points:
        ratio = each['p50'] / first['p50'] / (each['x'] / first['x'])
        each['note'] = f'{ratio:.2f} of the latency a pixel of the smallest'
    return {'title': f'Size of the input ({name}, {mode})', 'variable': 'pixels',
            'text': 'The bandwidth is that of rho = 1 at the usual size.', 'points': points}
