import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from testbed import spread, summary
from testbed.system import Recording, join

REPORT = {'mode': 'offload', 'source': 'edge', 'fallback': False, 'reason': '', 'bytes': 1000,
          'deadline_met': True, 'images_dropped': 0, 'preprocess_ms': 1.0, 'device_ms': 2.0,
          'send_ms': 3.0, 'edge_receive_ms': 4.0, 'edge_wait_ms': 5.0, 'edge_compute_ms': 6.0}


def image(number, begin=None):
    at = 10.0 * number if begin is None else begin
    return {'event': 'sent', 't': at, 'begin': at, 'stamp': [number, 0], 'image': number % 3}


def report(number, **changes):
    return {'event': 'report', 't': 0, 'stamp': [number, 0], 'frame': number,
            'latency_ms': 100.0 + number} | REPORT | changes


def heard(number, at=None):
    return {'event': 'detections', 't': 0, 'stamp': [number, 0],
            'heard': 10.0 * number + 0.25 if at is None else at,
            'boxes': [], 'scores': [], 'labels': []}


def run(*numbers):
    return [event for n in numbers for event in (image(n), heard(n), report(n))]


BEGIN, END = {'event': 'begin', 't': 0}, {'event': 'end', 't': 0}


def test_only_images_published_after_the_warm_up_count():
    events = [*run(0, 1), image(2), BEGIN, report(2), heard(2), *run(3, 4)]
    assert [f.report['frame'] for f in summary.frames(events)] == [3, 4]
    assert [f.round_trip for f in summary.frames(events)] == [250.0, 250.0]


def test_a_clean_run_has_no_faults():
    assert summary.delivery([BEGIN, *run(5, 6, 7)]) == {
        'frames': 3, 'missing': 0, 'duplicated': 0, 'reordered': 0}


def test_missing_twice_and_reordered_messages_are_counted():
    events = [BEGIN, *run(0), image(1), report(1), image(2), report(2), heard(2), heard(2),
              image(3), image(4), heard(4), report(4), heard(3, 99.0), report(3),
              # 5 left no trace but a gap in the numbers.
              *run(6)]
    assert summary.delivery(events) == {
        'frames': 6, 'missing': 2, 'duplicated': 1, 'reordered': 1}


def test_times_at_which_a_robot_was_watched_are_put_together():
    """What it did for others in between is neither counted nor missed."""
    first = Recording([run(0)[0], BEGIN, *run(1, 2), END],
                      {'edge': {'cpu': 1.0, 'peak_memory': 7}}, (100, 10))
    second = Recording([*run(40), BEGIN, *run(41), image(42), report(42), END],
                       {'edge': {'cpu': 2.0, 'peak_memory': 5}}, (200, 20))
    both = join([first, second])
    assert [f.report['frame'] for f in summary.frames(both.events)] == [1, 2, 41, 42]
    assert summary.delivery(both.events) == {
        'frames': 4, 'missing': 1, 'duplicated': 0, 'reordered': 0}
    found = summary.summarize(both.events, both.used, both.crossed)
    assert found['link_bytes_per_frame'] == {'up': 75, 'down': 7.5}
    assert found['cpu_ms_per_frame'] == {'edge': approx(750)}
    assert found['peak_memory'] == {'edge': 7}
    assert found['images_dropped'] == 0


def test_figures():
    events = [BEGIN, *run(0, 1), image(2), heard(2), report(
        2, mode='split', source='device', fallback=True, reason='edge silent', bytes=4000,
        deadline_met=False)]
    found = summary.summarize(events, {'edge': {'cpu': 0.3, 'peak_memory': 7}}, (9000, 300))
    assert found['latency_ms']['p50'] == 101 and found['latency_ms']['mean'] == approx(101)
    assert found['bytes_per_frame'] == 2000 and found['deadline_misses'] == 1
    assert found['modes'] == {'offload/edge': 2, 'split/device': 1}
    assert found['fallbacks'] == {'edge silent': 1}
    assert found['link_bytes_per_frame'] == {'up': 3000, 'down': 100}
    assert found['cpu_ms_per_frame'] == {'edge': approx(100)}
    assert found['stages_ms']['edge_wait_ms'] == 5


def test_a_frame_says_its_mode_and_the_way_where_that_is_another_word():
    assert summary.how(REPORT) == summary.how(REPORT | {'way': 'offload'}) == 'offload/edge'
    assert summary.how(REPORT | {'mode': 'auto', 'way': 'meeting'}) == 'auto (meeting)/edge'


def test_nothing_seen_is_nan_and_no_crash():
    found = summary.summarize([BEGIN, image(0)], {}, (0, 0))
    assert found['frames'] == 0 and math.isnan(found['latency_ms']['p50'])


def test_the_interval_of_a_median_holds_it_as_often_as_it_says():
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        low, high = spread.interval(random.lognormal(0, 1, 60))
        inside += low <= 1.0 <= high
    assert 180 <= inside <= 199


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=30))
def test_equal_weights_are_plain_percentiles(values):
    found = summary.weighted_percentiles(list(enumerate(values)), len(values))
    ordered = sorted(values)
    assert found['mean'] == approx(np.mean(values))
    assert found['p50'] == ordered[math.ceil(len(values) / 2) - 1]
    assert found['p99'] == ordered[-1]


def test_a_slow_frame_counts_for_as_long_as_it_took():
    # Nine fast frames in 0.9 s, then one that takes 9.1 s.
    points = [(0.1 * k, 100.0) for k in range(9)] + [(0.9, 9100.0)]
    found = summary.weighted_percentiles(points, 10.0)
    assert found['p50'] == found['p95'] == 9100.0
    assert found['mean'] == approx(0.09 * 100 + 0.91 * 9100)


def test_throughput():
    assert summary.throughput(summary.frames([BEGIN, *run(0, 1, 2)])) == approx(3 / 20.25)
    assert summary.throughput([]) == 0
