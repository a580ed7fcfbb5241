"""Estimates of the link against recorded events (`test_flow` has whole links)."""

import threading

import pytest

from intradp_ros.planning.link import LinkEstimate
from intradp_ros.runtime.goodput import FrameTransfer, LinkEstimator, RateMeter


def transfer(rate, delay, size=30000, count=10, lost=0, start=0.0, cost=1e-4):
    """Send `count` messages back to back over a link of `rate` bytes/s and one-way `delay` s."""
    frame, free = FrameTransfer(), start
    frame.on_busy(start)
    for i in range(count):
        sent = start + i * cost
        frame.on_sent(sent, sent + cost, size)
        free = max(free, sent) + size / rate
        if i >= lost:
            arrived = i - lost + 1
            frame.on_ack(free + 2 * delay, arrived, arrived * size, size, free + 2 * delay - sent,
                         free, cost)
        else:
            frame.on_lost()
    return frame


@pytest.mark.parametrize('rate', [1e5, 1e6, 1e7])
@pytest.mark.parametrize('delay', [1e-3, 0.2])
def test_goodput_of_a_steady_link_whatever_its_round_trip(rate, delay):
    estimator = LinkEstimator()
    for i in range(5):
        estimator.on_frame_end(transfer(rate, delay, start=i))
    assert estimator.estimate().goodput == pytest.approx(rate, rel=1e-6)


def test_waiting_for_the_device_is_no_slowness_of_the_link():
    frame = FrameTransfer()
    for i in range(5):  # a band a second, each in two halves that take 0.1 s on the link
        frame.on_busy(i)
        frame.on_sent(i, i + 1e-3, 10000)
        frame.on_ack(i + 0.06, 2 * i + 1, 0, 10000, 0.05, i + 0.05, 1e-3)
        frame.on_ack(i + 0.16, 2 * i + 2, 0, 10000, 0.05, i + 0.15, 1e-3)
    estimator = LinkEstimator()
    estimator.on_frame_end(frame)
    assert estimator.estimate().goodput == pytest.approx(1e5)


def test_what_arrives_at_once_is_a_lower_bound_and_used_only_without_better():
    estimator = LinkEstimator()
    estimator.on_frame_end(transfer(1e6, 0.1, count=1))
    assert 0 < estimator.estimate().goodput < 1e6
    estimator.on_frame_end(transfer(1e6, 0.1))
    assert estimator.estimate().goodput == pytest.approx(1e6)


def test_a_lower_bound_lowers_nothing_unless_it_is_far_below():
    estimator = LinkEstimator()
    for _ in range(3):
        estimator.on_frame_end(transfer(1e6, 1e-4))
    for _ in range(20):
        estimator.on_frame_end(transfer(1e6, 0.03, count=1))  # 30 kB, with 60 ms of round trip
    assert estimator.estimate().goodput == pytest.approx(1e6)
    estimator.on_frame_end(transfer(4e6, 1e-4, count=1))
    assert estimator.estimate().goodput > 2e6
    for _ in range(7):
        estimator.on_frame_end(transfer(1e5, 1e-4, count=1))
    assert estimator.estimate().goodput < 1.1e5


def one_by_one(size, seconds, count=8):
    """Messages that the device makes one after the other, each acknowledged after a while."""
    frame = FrameTransfer()
    for i in range(count):
        frame.on_busy(i)
        frame.on_sent(i, i + 1e-3, size)
        frame.on_ack(i + seconds, i + 1, (i + 1) * size, size, seconds, i + seconds, 0.0)
    return frame


def test_small_messages_one_by_one_say_nothing_against_a_link_but_late_ones_do():
    """JPEG bands that are encoded beside inference: 5.7 kB take a round trip, and little more."""
    estimator = LinkEstimator()
    for _ in range(3):
        estimator.on_frame_end(transfer(2.5e6, 6e-3))
    for _ in range(20):
        estimator.on_frame_end(one_by_one(5700, 0.03))
    assert estimator.estimate().goodput == pytest.approx(2.5e6)
    for _ in range(7):
        estimator.on_frame_end(one_by_one(5700, 0.3))
    assert estimator.estimate().goodput < 3e4


def test_what_a_device_with_little_to_do_showed_is_not_forgotten_when_it_has_more():
    """It hands messages over at 8, then at 4 MB/s; the link is faster than either."""
    estimator = LinkEstimator()
    for _ in range(10):
        estimator.on_frame_end(transfer(1e9, 1e-4, cost=30000 / 8e6))
    known = estimator.estimate().goodput
    assert known == pytest.approx(8e6, rel=0.15)
    for _ in range(30):
        estimator.on_frame_end(transfer(1e9, 1e-4, cost=30000 / 4e6))
    assert estimator.estimate().goodput == pytest.approx(known, rel=0.05)


def test_round_trip_is_the_least():
    estimator = LinkEstimator()
    for delay in (9e-3, 2e-3, 5e-3):
        estimator.on_frame_end(transfer(1e8, delay))
    assert estimator.estimate().round_trip == pytest.approx(4e-3, rel=0.2)


def test_loss_is_a_share_of_messages():
    estimator = LinkEstimator()
    estimator.on_frame_end(transfer(1e6, 1e-3, lost=2))
    estimator.on_frame_end(transfer(1e6, 1e-3))
    assert estimator.estimate().loss == pytest.approx(0.1)


def test_an_outage_says_nothing_of_the_goodput_and_much_of_the_loss():
    estimator = LinkEstimator()
    for _ in range(3):
        estimator.on_frame_end(transfer(1e6, 1e-3))
    for _ in range(4):
        estimator.on_frame_end(transfer(1e6, 1e-3, lost=10), silent=True)
    estimate = estimator.estimate()
    assert estimate.goodput == pytest.approx(1e6) and estimate.loss == pytest.approx(4 / 7)


def test_a_frame_that_ended_before_anything_could_be_heard_says_nothing_of_loss():
    estimator, frame = LinkEstimator(), FrameTransfer()
    frame.on_sent(0.0, 0.1, 30000)
    estimator.on_frame_end(frame)
    assert estimator.estimate().loss == 0


def test_one_slow_frame_moves_nothing_and_a_changed_link_soon_does():
    estimator = LinkEstimator()
    for _ in range(10):
        estimator.on_frame_end(transfer(1e7, 1e-4))
    estimator.on_frame_end(transfer(1e5, 1e-4))
    assert estimator.estimate().goodput > 5e6
    for _ in range(3):
        estimator.on_frame_end(transfer(1e5, 1e-4))
    assert estimator.estimate().goodput < 2e5


def test_frames_without_messages_say_nothing():
    estimator = LinkEstimator()
    estimator.on_frame_end(FrameTransfer())
    assert estimator.estimate() == LinkEstimate() and LinkEstimate().assumed() is None


def test_the_meter_follows_a_step_and_forgets_pauses():
    meter, now = RateMeter(), 0.0
    meter.begin(now)
    for _ in range(20):
        now += 0.01
        meter.on_arrival(now + 3.0, 10000, False, now)
    assert meter.rate == pytest.approx(1e6)
    for _ in range(12):
        now += 0.01
        meter.on_arrival(now + 3.0, 1000, False, now)
    assert meter.rate == pytest.approx(1e5)
    meter.begin(now + 5.0)
    assert meter.rate == pytest.approx(1e5)


def test_figures_are_read_while_frames_end_on_another_thread():
    estimator, ended, ready = LinkEstimator(), threading.Event(), transfer(1e6, 1e-3)

    def end_frames():
        while not ended.is_set():
            estimator.on_frame_end(ready)
    thread = threading.Thread(target=end_frames)
    thread.start()
    try:
        for _ in range(300):
            estimator.estimate()
    finally:
        ended.set()
        thread.join()
