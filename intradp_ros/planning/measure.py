"""
Measure a model on this machine: seconds of every operator at several band heights.

A whole image goes through the tile engine with each operator's kernel replaced by one that also
runs bands of it, so that every call sees what the engine would hand it: real values, channels_last
bands with their halo and borders. The image goes through again and again, so that the samples of
an operator are spread over time and a disturbance hits a few of each.
"""

import datetime
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from torch import Tensor as T

from intradp_ros.errors import ParameterError
from intradp_ros.model.detector import Detector
from intradp_ros.model.graph import Graph, Kernel, Operator, Tensor
from intradp_ros.planning import band_calls
from intradp_ros.planning.band_calls import waiting
from intradp_ros.planning.encodings import measure_codecs
from intradp_ros.planning.profile import Measured, Profile, Staircase
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.rows import boundaries

BANDS = 8
LEAST_PASSES = 5
# Relative standard error of the operators' medians at which measuring may stop.
SMALL_ERROR = 0.02
Samples = dict[int, list[float]]
"""Seconds by height of the band."""


def measure(graph: Graph, model: str, image: np.ndarray, detector: Detector | None = None,
            device: str = 'cpu', threads: int = 0, budget: float = 20.0,
            report: Callable[[float], None] = lambda share: None) -> Profile:
    """
    Measure a model.

    Medians of passes, until their standard error is small or the time is spent (at least
    LEAST_PASSES passes). Operators timed alone find their input in the cache more often than in
    a frame, and a frame has costs between operators: so times are scaled (`calibrated`) to the
    whole model's, measured in between; a wavefront is measured too, to be held against. On CUDA
    every call is waited for, which charges the launch to small operators; the same factor takes
    it off on average. Bands are dearer in a frame than call after call, where their kernels and
    their rows are in the caches: `band_call` is fitted to frames that are cut in bands. Where one
    thread computes, operators are timed in its processor time and only frames by the clock: a
    processor that is given in slices (a container's quota) leaves short operators alone and stops
    within long ones, and bands would seem to cost half of what they do.

    :param graph: with kernels.
    :param image: uint8 RGB (H, W, 3) of any size, as a camera may see it.
    :param detector: whose pre- and postprocessing is timed too.
    :param threads: torch's threads while measuring; 0 for as many as torch has.
    :param budget: seconds for the operators; a third as much goes to bands in frames.
    :param report: told now and then which share of the work is done, up to 1.
    :raises ParameterError: when the machine has no such device.
    """
    if device not in ('cpu', 'cuda') or device == 'cuda' and not torch.cuda.is_available():
        raise ParameterError(f'device {device!r} is not here; there '
                             f'{"are cpu and cuda" if torch.cuda.is_available() else "is cpu"}')
    with torch_threads(threads) as count:
        engine = Engine(graph, device)
        pixels = model_input(graph.tensors[graph.input], image, detector)
        samples, whole, wavefront = _passes(engine, pixels, budget, report)
        seconds = tuple(staircase({h: median(times) for h, times in s.items()}) for s in samples)
        operators = calibrated(seconds, whole)
        call = band_calls.seconds(engine, pixels, operators, budget / 3)
        before, after = _around(engine, detector, image)
        codecs = measure_codecs(pixels) if isinstance(pixels, np.ndarray) else ()
    total = sum(s.seconds[-1] for s in seconds)
    least = tuple(engine.planner.least_rows)
    return Profile(
        model, graph.fingerprint, platform.node(), processor(device), count, graph,
        operators, band_call=_short(call),
        before=_short(before), after=_short(after), torch=torch.__version__, codecs=codecs,
        least_rows=least,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        measured=Measured(_short(whole), _short(wavefront), BANDS, _short(total),
                          _short(_error(samples)), len(samples[0][max(samples[0])])))


@contextmanager
def torch_threads(count: int):
    """Have torch compute with so many threads (0: as many as it has), and give their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield count or before
    finally:
        torch.set_num_threads(before)


def model_input(source: Tensor, image: np.ndarray, detector: Detector | None) -> np.ndarray | T:
    """Bring an image to a model's input; random numbers for models that take no image."""
    if detector is not None:
        return detector.preprocess(image)[0]
    if source.dtype == torch.uint8 and len(source.shape) == 4 and source.shape[1] == 3:
        return cv2.resize(image, source.shape[:1:-1], interpolation=cv2.INTER_AREA)
    noise = torch.rand(source.shape, generator=torch.Generator().manual_seed(0))
    return noise.to(source.dtype)


def heights(rows: int) -> list[int]:
    """
    Band heights to measure, ascending: a sixteenth of the rows and up, the last is all of them.
    """
    # One row takes too short a time to be told from the call around it.
    return sorted({h for n in (16, 8, 4, 2) if (h := -(-rows // n)) > 1} | {rows})


def staircase(seconds: dict[int, float]) -> Staircase:
    """
    Fit times by height: not falling (least squares), and no row below the first point for less.

    Where short bands are cheaper a row than tall ones (they fit the cache), the line through the
    first two points would reach 0 above 0 rows.
    """
    rows = sorted(seconds)
    fitted = not_falling([seconds[r] for r in rows])
    per_row = fitted[0] / rows[0]
    if len(rows) > 1 and rows[0] > 1:
        slope = (fitted[1] - fitted[0]) / (rows[1] - rows[0])
        if slope > per_row:
            rows, fitted = [1, *rows], [per_row, *fitted]
    return Staircase(tuple(rows), tuple(map(_short, fitted)))


def calibrated(seconds: Sequence[Staircase], whole: float) -> tuple[Staircase, ...]:
    """
    Scale operators timed alone to what frames take: one factor, so that they sum up to `whole`.

    What bands cost beyond that in frames is not in proportion (`band_call`).
    """
    factor = whole / sum(s.seconds[-1] for s in seconds)
    return tuple(Staircase(s.rows, tuple(_short(factor * t) for t in s.seconds)) for s in seconds)


def not_falling(values: Sequence[float]) -> list[float]:
    """
    Find the ascending sequence nearest to values in least squares: neighbours that fall are
    pooled (pool adjacent violators; Barlow et al. 1972, Statistical inference under order
    restrictions).
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [((a * m + b * n) / (m + n), m + n)]
    return [value for value, count in pools for _ in range(count)]


def processor(device: str = 'cpu') -> str:
    """Name the processor that computes."""
    if device == 'cuda':
        return torch.cuda.get_device_name()
    for path, key in (('/proc/device-tree/model', ''), ('/proc/cpuinfo', 'model name')):
        try:
            for line in Path(path).read_text(errors='replace').splitlines():
                if line.startswith(key):
                    return line.split(':')[-1].strip(' \t\0')
        except OSError:
            continue
    return platform.processor() or platform.machine()


def _passes(engine: Engine, pixels: np.ndarray | T, budget: float,
            report: Callable[[float], None]) -> tuple[list[Samples], float, float]:
    samples: list[Samples] = [{} for _ in engine.graph.operators]
    sync = waiting(engine)
    clock = time.perf_counter if engine.device.type == 'cuda' or torch.get_num_threads() > 1 \
        else time.thread_time
    probes = [_probe(o, k, engine.graph, sync, clock, s)
              for o, k, s in zip(engine.graph.operators, engine.kernels, samples)]
    source = engine.graph.input
    rows = engine.graph.tensors[source].rows
    wholes: list[float] = []
    wavefronts: list[float] = []

    def timed(ends: Sequence[int]) -> float:
        sync()
        begin = time.perf_counter()
        frame = engine.start()
        for a, b in zip(ends, ends[1:]):
            frame.feed(source, a, b, pixels[a:b] if isinstance(pixels, np.ndarray) else
                       engine.graph.tensors[source].narrow(pixels, a, b))
        frame.outputs()
        sync()
        return time.perf_counter() - begin

    begin = time.perf_counter()
    number = 0
    while True:
        frame = engine.start()
        frame.kernels = probes
        frame.feed(source, 0, rows, pixels)
        for _ in range(2):
            wholes.append(timed([0, rows]))
            wavefronts.append(timed(boundaries(rows, BANDS)))
        if number == 0:
            # The first pass lays out weights, compiles kernels and allocates memory.
            for times in (*(t for s in samples for t in s.values()), wholes, wavefronts):
                times.clear()
        number += 1
        spent = (time.perf_counter() - begin) / budget
        passes = number - 1
        if passes >= LEAST_PASSES and (spent >= 1 or _error(samples) <= SMALL_ERROR):
            break
        report(min(1.0, max(spent, 0.0) if passes >= LEAST_PASSES
                   else max(min(spent, 1.0) * passes / LEAST_PASSES, 0.0)))
    report(1.0)
    return samples, median(wholes), median(wavefronts)


def _probe(operator: Operator, kernel: Kernel, graph: Graph, sync: Callable[[], None],
           clock: Callable[[], float], samples: Samples) -> Kernel:
    """Build a kernel that computes what it is asked for, and times that and bands of it."""
    def prepared(inputs: Sequence[T], a: int, b: int, c: int, d: int) -> list[T]:
        """Cut the inputs of rows [c, d) out of those of rows [a, b), with borders."""
        top = operator.borders(a, b)[0] if operator.borders else 0
        parts = []
        for number, (data, i, need) in enumerate(zip(inputs, operator.inputs, operator.needs)):
            start = need.of(a, b)[0] - (top if number == 0 else 0)
            p, q = need.of(c, d)
            parts.append(graph.tensors[i].narrow(data, p, max(p, q), start))
        if operator.borders:
            parts[0] = _bordered(parts[0], graph.tensors[operator.inputs[0]],
                                 operator.borders(c, d), operator.fill_value)
        return parts

    def run(inputs: list[T], a: int, b: int) -> T:
        out: T | None = None
        for height in heights(b - a):
            # A band in the middle: most have rows on both sides.
            c = a + (b - a) // height // 2 * height
            c = min(c, b - height)
            for timed in (False, True):
                # An untimed call before each: what torch keeps for a shape (memory, compiled
                # primitives) is there, as it is in a frame after the first.
                out = None  # A frame has no second output in memory either.
                sync()
                begin = clock()
                given = inputs if height == b - a else prepared(inputs, a, b, c, c + height)
                out = kernel(given, c, c + height)
                sync()
                if timed:
                    samples.setdefault(height, []).append(clock() - begin)
        assert out is not None  # There is a last height, and it is all rows.
        return out

    return run


def _bordered(band: T, tensor: Tensor, borders: tuple[int, int], value: float) -> T:
    if borders == (0, 0):
        return band
    memory = torch.channels_last if band.dim() == 4 else torch.contiguous_format
    parts = [band.new_full(tensor.band_shape(0, n), value).contiguous(memory_format=memory)
             for n in borders]
    return torch.cat([p for p in (parts[0], band, parts[1]) if p.numel()], tensor.layout.dim)


def _around(engine: Engine, detector: Detector | None, image: np.ndarray,
            passes: int = 7) -> tuple[float, float]:
    """Seconds of pre- and postprocessing."""
    if detector is None:
        return 0.0, 0.0
    pixels, geometry = detector.preprocess(image)
    raw = engine.run(pixels)
    detector.postprocess(raw, geometry)
    before, after = [], []
    for _ in range(passes):
        begin = time.perf_counter()
        detector.preprocess(image)
        middle = time.perf_counter()
        detector.postprocess(raw, geometry)
        before.append(middle - begin)
        after.append(time.perf_counter() - middle)
    return median(before), median(after)


def _error(samples: Sequence[Samples]) -> float:
    """
    Relative standard error of the operators' medians at full height, weighted by their times.

    From the median absolute deviation: a normal distribution has a standard deviation of 1.4826
    of it, and its median a standard error of 1.2533 standard deviations over sqrt(n).
    """
    total = error = 0.0
    for times in (s[max(s)] for s in samples if s):
        middle = median(times)
        deviation = median(abs(t - middle) for t in times)
        total += middle
        error += 1.4826 * 1.2533 * deviation / len(times) ** 0.5
    return error / total if total else 0.0


def _short(seconds: float) -> float:
    """Four digits: more would only be noise in a file that people read."""
    return float(f'{seconds:.4g}')
