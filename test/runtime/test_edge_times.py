"""What is known of the edge's speed, and what is not taken for it."""

import pytest

from intradp_ros.runtime.edge_times import EdgeTimes


def test_nothing_is_known_before_a_frame():
    times = EdgeTimes()
    assert times.frame() is None and times.whole() == 0.0


def test_a_small_part_says_nothing_of_the_whole():
    times = EdgeTimes()
    times.note(0.004, 0.05)
    assert times.frame() == 0.004 and times.whole() == 0.0
    times.note(0.010, 0.25)
    assert times.frame() == 0.007 and times.whole() == 0.04


def test_a_frame_that_leaves_more_to_the_edge_takes_longer():
    times = EdgeTimes()
    times.note(0.05, 0.5)
    assert (times.frame(0.25), times.frame(1.0)) == (0.05, 0.1)
    times.note(0.11, 1.0)
    assert (times.frame(0.5), times.frame(1.0)) == (0.08, 0.11)


def test_postprocessing_says_nothing_of_the_models_speed():
    """It is done once, whatever is left to the edge, and may take two thirds of a frame."""
    times = EdgeTimes()
    times.note(0.13, 0.6, 0.1)
    assert times.whole() == pytest.approx(0.05)
    assert times.frame(1.0) == pytest.approx(0.15)


def test_few_slow_frames_do_not_make_a_slow_edge():
    times = EdgeTimes()
    for seconds in (9.0,) * 9 + (0.05, 0.14, 0.05, 0.14, 0.05, 0.14, 0.05, 0.14, 0.14):
        times.note(seconds, 1.0)
    assert times.frame() == 0.14 and times.whole() == 0.05


def test_parts_of_the_model_say_less_than_the_whole():
    """Until the whole has not been seen for long: an edge may be another one by then."""
    times = EdgeTimes()
    times.note(0.042, 0.6)
    assert times.whole() == pytest.approx(0.07)
    times.note(0.048, 1.0)
    for _ in range(199):
        times.note(0.042, 0.6)
    assert times.whole() == pytest.approx(0.048)
    times.note(0.042, 0.6)
    assert times.whole() == pytest.approx(0.07)
