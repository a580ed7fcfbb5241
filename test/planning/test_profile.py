"""What a staircase says between, below and above its points, and estimated profiles."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.errors import ParameterError
from intradp_ros.model import zoo
from intradp_ros.planning.profile import Staircase, estimated


def test_lines_between_points_and_through_the_last_two_beyond():
    stairs = Staircase((2, 4, 10), (6.0, 7.0, 13.0))
    assert [stairs(r) for r in (0, -3, 2, 3, 4, 7, 10, 12)] == [0, 0, 6, 6.5, 7, 10, 13, 15]


def test_below_the_first_point_a_call_keeps_its_cost():
    # 5 for the call and 0.5 a row.
    assert Staircase((2, 4), (6.0, 7.0))(1) == 5.5


def test_below_the_first_point_a_row_is_never_cheaper():
    # The line of the first two points would give less than nothing.
    stairs = Staircase((8, 16), (1.0, 10.0))
    assert stairs(4) == 0.5 and stairs(1) == 0.125
    assert stairs.least_per_row == 0.125


def test_one_point_is_a_line_through_nothing():
    stairs = Staircase((4,), (2.0,))
    assert [stairs(r) for r in (1, 4, 8)] == [0.5, 2, 4]


@st.composite
def staircases(draw):
    rows = sorted(draw(st.sets(st.integers(1, 60), min_size=1, max_size=6)))
    seconds = sorted(draw(st.lists(st.floats(0, 10), min_size=len(rows), max_size=len(rows))))
    return Staircase(tuple(rows), tuple(seconds))


@given(staircases())
def test_what_holds_for_any_staircase(stairs):
    times = [stairs(r) for r in range(stairs.rows[-1] + 1)]
    assert all(a <= b + 1e-12 for a, b in zip(times, times[1:]))
    assert [times[r] for r in stairs.rows] == pytest.approx(stairs.seconds)
    # The bound is built on this: no height up to the last point has cheaper rows.
    assert min(t / r for r, t in enumerate(times) if r) >= stairs.least_per_row - 1e-12
    assert stairs.scaled(3)(7) == pytest.approx(3 * stairs(7))


@pytest.mark.parametrize('rows, seconds', [
    ((), ()), ((1, 2), (1.0,)), ((2, 2), (1.0, 1.0)), ((2, 1), (1.0, 1.0)), ((0, 1), (0.0, 1.0)),
    ((1, 2), (2.0, 1.0)), ((1,), (-1.0,))])
def test_what_is_no_staircase_is_refused(rows, seconds):
    with pytest.raises(ParameterError, match='staircase'):
        Staircase(rows, seconds)


def test_an_estimated_profile_counts_calls_arithmetic_and_elements():
    graph = zoo.build('demo_detector', 'random').graph
    profile = estimated(graph, 1e9, call_seconds=1e-3, elements_per_second=1e8)
    assert profile.fingerprint == graph.fingerprint and len(profile.seconds) == len(
        graph.operators)
    for operator, stairs, whole in zip(graph.operators, profile.seconds, profile.whole):
        tensor = graph.tensors[operator.output]
        elements = tensor.bytes / tensor.dtype.itemsize
        assert whole == pytest.approx(1e-3 + max(operator.macs / 1e9, elements / 1e8))
        # Half of the rows: half of the work, and a call.
        assert stairs(tensor.rows // 2) - 1e-3 == pytest.approx(
            (whole - 1e-3) * (tensor.rows // 2) / tensor.rows)
    assert profile.total == pytest.approx(sum(profile.whole))
    assert profile.of([0, 2]) == profile.whole[0] + profile.whole[2]


def test_a_call_for_a_band_costs_more_than_its_rows(demo_setup):
    profile = replace(demo_setup.device, band_call=1.0)
    operator = profile.graph.operators[3]
    rows = profile.graph.tensors[operator.output].rows
    times = profile.seconds[operator.id]
    assert profile.band(operator, rows) == times(rows)
    assert profile.band(operator, rows - 1) == times(rows - 1) + 1
    assert profile.band(operator, 0) == 0
    assert profile.scaled(3).band(operator, 1) == pytest.approx(3 * profile.band(operator, 1))
    assert profile.total == demo_setup.device.total


def test_a_slower_machine_takes_longer_for_everything_but_talk():
    graph = zoo.build('demo_detector', 'random').graph
    profile = estimated(graph, 1e9, before=0.01, after=0.02, message_seconds=1e-4)
    slow = profile.scaled(4)
    assert slow.total == pytest.approx(4 * profile.total)
    assert (slow.before, slow.after, slow.message_seconds) == (0.04, 0.08, 1e-4)
