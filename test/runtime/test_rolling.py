"""Rate and percentiles of the last events, against numpy and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.runtime.rolling import Rolling, percentile


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(0, 100))
def test_percentiles_are_numpys(values, share):
    assert percentile(values, share) == pytest.approx(np.percentile(values, share))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_percentiles_of_a_rolling_are_those_of_the_last_events(durations):
    rolling = Rolling(0.0, events=20)
    for i, duration in enumerate(durations):
        rolling.add(float(i), duration)
    for share in (50, 95):
        assert rolling.percentile(share) == pytest.approx(np.percentile(durations[-20:], share))


@pytest.mark.parametrize('rate', [0.5, 10.0, 240.0])
def test_a_steady_rate_is_found_from_the_start_and_over_the_horizon(rate):
    rolling = Rolling(0.0)
    for i in range(1, int(20 * rate) + 1):
        rolling.add(i / rate, 1.0)
        if i / rate >= 2:  # one event more or less
            assert rolling.rate(i / rate) == pytest.approx(rate, abs=1 / min(5.0, i / rate))


def test_events_that_stop_have_no_rate_and_their_durations_stay():
    rolling = Rolling(0.0, horizon=5.0)
    for i in range(100):
        rolling.add(i / 10, 7.0)
    assert rolling.rate(9.9) == pytest.approx(10.0)
    assert rolling.rate(12.4) == pytest.approx(5.0)
    assert rolling.rate(60.0) == 0
    assert rolling.percentile(95) == 7.0


def test_nothing_is_known_before_the_first_event():
    rolling = Rolling(3.0)
    assert rolling.rate(3.0) == rolling.rate(4.0) == rolling.percentile(50) == 0
    assert rolling.figures(4.0, 'frame', 'latency') == {
        'frame rate [frames/s]': 0.0, 'latency p50 [ms]': 0.0, 'latency p95 [ms]': 0.0}


def test_memory_is_bounded_by_the_horizon_and_the_number_of_events():
    rolling = Rolling(0.0, events=10, horizon=1.0)
    for i in range(10000):
        rolling.add(i / 100, 1.0)
    assert len(rolling._times) <= 101 and len(rolling._durations) == 10
