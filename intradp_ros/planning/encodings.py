"""What it costs to have the model's input travel in one codec or another."""

import time
from collections.abc import Callable

import numpy as np

from intradp_ros.planning.plan import Encoding
from intradp_ros.planning.profile import CodecCost, Profile
from intradp_ros.tiling.codec import CODECS
from intradp_ros.tiling.tiles import bands

# Input rows are encoded tile by tile.
TILES = 8


def measure_codecs(pixels: np.ndarray, passes: int = 7,
                   clock: Callable[[], float] = time.perf_counter) -> tuple[CodecCost, ...]:
    """
    Time every codec on a model's input, a tile at a time; medians of interleaved passes.

    :param pixels: uint8 (height, width, 3), an image of what a camera may see: how far it can be
        compressed depends on it.
    """
    tiles = [pixels[a:b] for a, b in bands(len(pixels), TILES)]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in CODECS}
    sizes: dict[str, int] = {}
    for _ in range(passes + 1):
        for name, codec in CODECS.items():
            begin = clock()
            coded = [codec.encode(tile) for tile in tiles]
            middle = clock()
            for data, tile in zip(coded, tiles):
                codec.decode(memoryview(data), (len(tile), pixels.shape[1], pixels.shape[2]))
            times[name].append((middle - begin, clock() - middle))
            sizes[name] = sum(map(len, coded))
    costs = []
    for name, codec in CODECS.items():
        # The first pass warms up.
        encode, decode = np.median(np.array(times[name][1:]), axis=0) / pixels.size
        costs.append(CodecCost(name, sizes[name] / pixels.size, float(f'{encode:.4g}'),
                               float(f'{decode:.4g}'), codec.lossless))
    return tuple(costs)


def encodings(device: Profile, edge: Profile) -> dict[str, Encoding]:
    """
    Say how the input may travel between two machines, by codec.

    Encoding is the device's, decoding the edge's, the ratio that of the device's image. Codecs
    that one of them has not measured are left out, but for 'uint8' and 'float32', whose ratios
    are known and whose cost is then taken as 0.
    """
    known = {'uint8': CodecCost('uint8', 1.0, 0.0, 0.0), 'float32':
             CodecCost('float32', 4.0, 0.0, 0.0)}
    sender = {**known, **{c.name: c for c in device.codecs}}
    receiver = {**known, **{c.name: c for c in edge.codecs}}
    return {name: Encoding(name, cost.ratio, cost.encode, receiver[name].decode,
                           lossless=cost.lossless)
            for name, cost in sender.items() if name in receiver}
