"""Measuring: the right rows are timed, fits have their shape, sums are what was measured."""

import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_networks import networks
from scipy.optimize import isotonic_regression

from intradp_ros.errors import ParameterError
from intradp_ros.model import zoo
from intradp_ros.model.capture import capture
from intradp_ros.planning import band_calls, measure
from intradp_ros.planning.encodings import encodings, measure_codecs
from intradp_ros.planning.profile import Staircase, estimated
from intradp_ros.tiling.engine import Engine

TIMES = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8)


@given(TIMES)
def test_not_falling_is_isotonic_regression(values):
    assert measure.not_falling(values) == pytest.approx(isotonic_regression(values).x)


@given(TIMES, st.integers(1, 500))
def test_staircases_rise_from_the_first_row_on(values, rows):
    heights = measure.heights(rows)[-len(values):]
    steps = measure.staircase(dict(zip(heights, values)))
    times = [steps(r) for r in range(1, rows + 1)]
    assert all(a <= b * (1 + 1e-9) for a, b in zip(times, times[1:]))
    # No row below the first measured point for less than there, to the digits that are kept.
    first = heights[0]
    assert all(steps(r) / r >= 0.999 * steps(first) / first for r in range(1, first + 1))


def test_heights():
    assert measure.heights(480) == [30, 60, 120, 240, 480]
    assert measure.heights(15) == [2, 4, 8, 15]
    assert measure.heights(1) == [1]
    assert all(h[-1] == r and h == sorted(set(h))
               for r in range(1, 99) for h in [measure.heights(r)])


def assert_bands_are_rows(graph, pixels):
    """Run an image through probes: what they compute in bands are rows of the whole."""
    engine = Engine(graph)
    counted = [0]

    def watched(operator, kernel):
        tensor, calls = graph.tensors[operator.output], []

        def run(inputs, a, b):
            out = kernel(inputs, a, b)
            calls.append((a, b, out))
            return out

        probe = measure._probe(operator, run, graph, lambda: None, time.perf_counter,
                               samples[operator.id])

        def check(inputs, a, b):
            whole = probe(inputs, a, b)
            for c, d, out in calls:
                counted[0] += 1
                expected = tensor.narrow(whole, c, d, a)
                # A window of borders alone gives minus infinity on both sides.
                largest = expected[expected.isfinite()].abs().max() if \
                    expected.isfinite().any() else 0
                torch.testing.assert_close(out, expected, rtol=0, atol=1e-5 * max(1, largest),
                                           equal_nan=True)
            calls.clear()
            return whole
        return check

    samples = [{} for _ in graph.operators]
    frame = engine.start()
    frame.kernels = [watched(o, k) for o, k in zip(graph.operators, engine.kernels)]
    frame.feed(graph.input, 0, graph.tensors[graph.input].rows, pixels)
    assert counted[0] >= 2 * len(graph.operators)
    assert all(all(t >= 0 for t in times) for s in samples for times in s.values())
    return samples


@given(networks())
@settings(max_examples=8, deadline=None, derandomize=True,
          phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck))
def test_bands_of_random_networks_are_rows(drawn):
    network, image = drawn
    assert_bands_are_rows(capture(network, image), image)


def test_bands_of_a_detector_are_rows(detector, photograph):
    samples = assert_bands_are_rows(detector.graph, detector.preprocess(photograph)[0])
    rows = [detector.graph.tensors[o.output].rows for o in detector.graph.operators]
    assert [max(s) for s in samples] == rows
    assert all(len(s) > 1 for s, r in zip(samples, rows) if r > 3)


def test_a_profile_adds_up(photograph):
    detector = zoo.build('demo_detector', 'DEFAULT', input_size=(96, 128))
    shares = []
    profile = measure.measure(detector.graph, 'demo_detector', photograph, detector, threads=1,
                              budget=0.1, report=shares.append)
    assert profile.threads == 1 and profile.measured.passes >= measure.LEAST_PASSES
    assert profile.total == pytest.approx(profile.measured.whole, rel=5e-3)
    assert profile.before > 0 and profile.after > 0 and profile.processor
    assert profile.fingerprint == detector.graph.fingerprint
    assert shares[-1] == 1 and shares == sorted(shares)
    assert {c.name for c in profile.codecs} == {'uint8', 'zlib', 'jpeg', 'jpeg_444', 'float32'}
    assert len(profile.least_rows) == len(profile.seconds) == len(detector.graph.operators)
    with pytest.raises(ParameterError, match='tpu'):
        measure.measure(detector.graph, 'demo_detector', photograph, device='tpu')


def test_calls_for_bands_are_counted(detector):
    graph = detector.graph
    seconds = estimated(graph, 1e9).seconds
    target = band_calls.cut_at(graph, seconds)
    head = graph.ancestors([target.id])
    whole = [s.seconds[-1] for s in seconds]
    assert band_calls.count(graph, target.id, [0, target.rows], seconds) == (
        0, pytest.approx(sum(whole[o.id] for o in head)))
    calls, alone = band_calls.count(graph, target.id, [0, target.rows // 2, target.rows],
                                    seconds)
    assert len(head) < calls <= 2 * len(head)
    assert alone > sum(whole[o.id] for o in head)
    only_rows = capture(torch.nn.Flatten(), torch.zeros(1, 3, 8, 8))
    assert band_calls.cut_at(only_rows, estimated(only_rows, 1e9).seconds) is None


def test_what_calls_for_bands_take_in_frames_is_found(detector, photograph):
    """Bands that are 4 ms slower a call in frames than they were alone."""
    graph, engine = detector.graph, Engine(detector.graph)

    def slow(operator, kernel):
        def run(inputs, a, b):
            if b - a < graph.tensors[operator.output].rows:
                time.sleep(4e-3)
            return kernel(inputs, a, b)
        return run
    engine.kernels = [slow(o, k) for o, k in zip(graph.operators, engine.kernels)]
    pixels = detector.preprocess(photograph)[0]
    seconds = estimated(graph, 1e9, call_seconds=0).seconds
    found = band_calls.seconds(engine, pixels, seconds, 0.0)
    assert found > 3e-3


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with measure.torch_threads(before + 1) as count:
        assert count == torch.get_num_threads() == before + 1
    with measure.torch_threads(0) as count:
        assert count == before
    assert torch.get_num_threads() == before


@pytest.fixture(scope='module')
def convolutions():
    layers = [torch.nn.Conv2d(3 if n == 0 else 8, 8, 3, 1 + n % 2, 1) for n in range(6)]
    return capture(torch.nn.Sequential(*layers), torch.zeros(1, 3, 256, 32))


def test_calibration_meets_the_whole():
    alone = (Staircase((2, 8), (1e-3, 3e-3)), Staircase((8,), (2e-3,)))
    found = measure.calibrated(alone, 0.01)
    assert [s.rows for s in found] == [(2, 8), (8,)]
    assert found[0].seconds + found[1].seconds == pytest.approx((2e-3, 6e-3, 4e-3), rel=1e-3)


def test_error_is_that_of_a_median():
    rng = np.random.default_rng(0)
    samples = rng.normal(1.0, 0.1, (400, 25))
    errors = [measure._error([{4: list(times)}]) for times in samples]
    assert np.median(errors) == pytest.approx(np.median(samples, axis=1).std(), rel=0.15)
    assert measure._error([{4: [2.0] * 9}, {1: [1.0], 8: [3.0, 3.0]}]) == 0


def test_encodings_join_two_machines(photograph):
    device = estimated(capture(torch.nn.ReLU(), torch.zeros(1, 3, 8, 8)), 1e9,
                       codecs=measure_codecs(photograph, passes=1))
    edge = estimated(device.graph, 1e10, codecs=measure_codecs(photograph, passes=1))
    found = encodings(device, edge)
    assert found['uint8'].ratio == 1 and found['float32'].ratio == 4
    assert 0 < found['jpeg'].ratio < found['zlib'].ratio < 1
    assert not found['jpeg'].lossless and found['zlib'].lossless
    costs = {c.name: c for c in device.codecs}, {c.name: c for c in edge.codecs}
    assert found['zlib'].encode == costs[0]['zlib'].encode > 0
    assert found['zlib'].decode == costs[1]['zlib'].decode > 0
    bare = estimated(device.graph, 1e9)
    assert {n: (e.ratio, e.encode) for n, e in encodings(bare, edge).items()} == {
        'uint8': (1, 0), 'float32': (4, 0)}
