"""
Measure a model on the tile engine: exactness, cost of bands, memory, and where it can be cut.

`survey` fills one row of the table that `intradp models` prints.
"""

import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from torch import Tensor as T

from intradp_ros.model.capture import capture
from intradp_ros.model.detector import Detections, Geometry
from intradp_ros.model.graph import Graph, Tensor, rows_needed
from intradp_ros.model.registry import Entry, random_image
from intradp_ros.tiling import tiles
from intradp_ros.tiling.engine import Engine, Frame

PARTITIONS = 2, 3, 8, 13
# Of the largest output. Torchvision's own FCOS, with random weights, is 0.9e-5 from its result in
# float64, so two equally good ways to run it may be twice that apart.
TOLERANCE = 2e-5


@dataclass(frozen=True)
class Cut:
    """
    What it means to cut a model at one tensor.

    `mac_share` of the multiply-adds come before it; `byte_ratio` is its float32 bytes over those
    of the uint8 input; `halo` is how many input rows beyond its share the lower half needs.
    """

    name: str
    rows: int
    mac_share: float
    byte_ratio: float
    halo: int


def partition(rows: int, bands: int, rng: random.Random) -> list[tuple[int, int]]:
    """Cut [0, rows) into bands of unequal heights, in random order."""
    bands = min(bands, rows)
    places = [0, *sorted(rng.sample(range(1, rows), bands - 1)), rows]
    parts = list(zip(places, places[1:]))
    rng.shuffle(parts)
    return parts


def feed_all(engine: Engine, image: T, parts: list[tuple[int, int]]) -> Frame:
    """Feed an image (1, C, H, W) in bands."""
    frame = engine.start()
    for a, b in parts:
        frame.feed(engine.graph.input, a, b, image[:, :, a:b])
    return frame


def relative_error(found: tuple[T, ...], expected: tuple[T, ...]) -> float:
    """Worst |found - expected| / max |expected| of all outputs."""
    worst = 0.0
    for f, e in zip(found, expected):
        if f.shape != e.shape:
            return float('inf')
        # A NaN is neither above nor below: it must not pass for exact.
        error = ((f - e).abs().max() / e.abs().max().clamp_min(1e-30)).item()
        worst = max(worst, error if error == error else float('inf'))
    return worst


def is_constant(outputs: tuple[T, ...]) -> bool:
    """Whether outputs prove nothing: not finite, or (nearly) the same everywhere."""
    return any(
        not bool(torch.isfinite(t).all())
        or t.numel() > 1
        and (t.std() <= 1e-6 * t.abs().max()).item()
        for t in outputs
    )


def cut_at(graph: Graph, tensor: Tensor) -> Cut:
    """Describe the cut at one tensor."""
    total = sum(o.macs for o in graph.operators)
    before = sum(o.macs for o in graph.ancestors([tensor.id]))
    source = graph.tensors[graph.input]
    half = tensor.rows // 2
    first, _ = rows_needed(graph, tensor.id, half, tensor.rows)
    return Cut(
        tensor.name,
        tensor.rows,
        before / max(total, 1),
        tensor.bytes / source.bytes,
        half * source.rows // tensor.rows - first,
    )


def bottlenecks(graph: Graph) -> list[Cut]:
    """
    Natural bottlenecks: single tensors smaller than the input and than every bottleneck before.

    Source of the notion: Bakhtiarnia et al., Dynamic Split Computing (arXiv 2205.11269), section
    III.
    """
    found: list[Cut] = []
    least = graph.tensors[graph.input].bytes
    for tensor in graph.merge_candidates()[1:]:
        if tensor.bytes < least:
            least = tensor.bytes
            found.append(cut_at(graph, tensor))
    return found


def merge_halos(graph: Graph) -> list[Cut]:
    """Describe the last tensor of each height through which everything passes."""
    last = {t.rows: t for t in graph.merge_candidates()[1:]}
    return [cut_at(graph, t) for t in last.values()]


def stride_8(graph: Graph) -> Tensor | None:
    """Find the last tensor of an eighth of the input's rows through which everything passes."""
    rows = graph.tensors[graph.input].rows
    found = [t for t in graph.merge_candidates() if t.rows == -(-rows // 8)]
    return found[-1] if found else None


def seconds(call: Callable[[], object], repeat: int) -> float:
    """Median time of a call, after one that does not count."""
    call()
    times = []
    for _ in range(repeat):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


def half_seconds(engine: Engine, image: T, tensor: Tensor, repeat: int) -> tuple[float, float]:
    """Time of the upper half of a tensor's rows, and of all of them."""

    def compute(b: int) -> None:
        frame = engine.start(outputs=(), keep=(tensor.id,))
        frame.feed(engine.graph.input, 0, image.shape[2], image)
        frame.compute(tensor.id, 0, b)

    return (
        seconds(lambda: compute(tensor.rows // 2), repeat),
        seconds(lambda: compute(tensor.rows), repeat),
    )


def survey(entry: Entry, bands: int = 8, seed: int = 0, repeat: int = 3) -> dict:
    """
    Measure one model.

    :returns: the keys of `intradp models --json`; `status` is 'ok' or says what does not hold.
    """
    image = random_image((entry.height, entry.width), seed + 1)
    started = perf_counter()
    graph = capture(entry.module, image)
    capture_seconds = perf_counter() - started
    engine = Engine(graph)
    with torch.inference_mode():
        expected = entry.module(image)
    whole = feed_all(engine, image, [(0, entry.height)])
    problems, errors = [], [relative_error(whole.outputs(), expected)]
    if is_constant(expected):
        problems.append('reference output is constant')
    rng = random.Random(seed)
    for count in PARTITIONS:
        frame = feed_all(engine, image, partition(entry.height, count, rng))
        errors.append(relative_error(frame.outputs(), expected))
    wave = feed_all(engine, image, tiles.bands(entry.height, bands))
    errors.append(relative_error(wave.outputs(), expected))
    if max(errors) > TOLERANCE:
        problems.append(f'error {max(errors):.1e}')
    problems += _detections_differ(entry, image, frame.outputs(), expected)
    whole_seconds = seconds(lambda: feed_all(engine, image, [(0, entry.height)]), repeat)
    wave_seconds = seconds(
        lambda: feed_all(engine, image, tiles.bands(entry.height, bands)), repeat
    )
    middle = stride_8(graph)
    upper, all_rows = half_seconds(engine, image, middle, repeat) if middle else (0.0, 0.0)
    macs = sum(o.macs for o in graph.operators)
    local = sum(o.is_local for o in graph.operators)
    return {
        'model': entry.name,
        'height': entry.height,
        'width': entry.width,
        'operators': len(graph.operators),
        'local': local,
        'global': len(graph.operators) - local,
        'macs': macs,
        'local_mac_share': sum(o.macs for o in graph.operators if o.is_local) / max(macs, 1),
        'max_rel_error': max(errors),
        'capture_seconds': capture_seconds,
        'whole_seconds': whole_seconds,
        'wavefront_ratio': wave_seconds / whole_seconds,
        'half_ratio': upper / all_rows if all_rows else None,
        'peak_ratio': wave.peak_bytes / whole.peak_bytes,
        'halos': [vars(c) for c in merge_halos(graph)],
        'bottlenecks': [vars(c) for c in bottlenecks(graph)],
        'warnings': list(graph.warnings),
        'status': '; '.join(problems) or 'ok',
    }


def _detections_differ(
    entry: Entry, image: T, found: tuple[T, ...], expected: tuple[T, ...]
) -> list[str]:
    """
    Compare detections after postprocess, where the model is a detector.

    Two-stage heads with random weights magnify rounding beyond any fixed tolerance, so the
    yardstick is torch itself: where its two memory layouts differ by more than the tolerance, the
    comparison says nothing.
    """
    detector = entry.detector
    if detector is None:
        return []
    size = entry.height, entry.width
    geometry = Geometry.fit(size, size, detector.stretch)

    def detections(raw: tuple[T, ...]) -> Detections:
        # Decoding may write into its inputs.
        return detector.postprocess(tuple(t.clone() for t in raw), geometry)

    whole, box_tol = detections(expected), 1e-4 * max(size)
    difference = detections(found).differs(whole, box_tol=box_tol)
    if not difference:
        return []
    plain = deepcopy(entry.module)
    for weight in plain.parameters():
        weight.data = weight.data.contiguous()
    with torch.inference_mode():
        other = plain(image.contiguous())
    if detections(other).differs(whole, box_tol=box_tol):
        return []
    return [f'detections: {difference}']
