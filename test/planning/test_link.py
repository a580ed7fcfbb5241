"""The link's figures against a simulated link whose rate and delay are known."""

import threading

import pytest

from intradp_ros.planning.link import FrameTransfer, LinkEstimator


def transfer(rate, delay, size=30000, count=10, lost=(), start=0.0, cost=1e-4):
    """Send `count` messages back to back over a link of `rate` bytes/s and one-way `delay` s."""
    frame, free, arrived = FrameTransfer(), start, 0
    for i in range(count):
        sent = start + i * cost
        frame.on_sent(sent, sent + cost, size)
        free = max(free, sent) + size / rate
        if i not in lost:
            arrived += 1
            frame.on_ack(free + 2 * delay, arrived, arrived * size)
    return frame


@pytest.mark.parametrize('rate', [1e5, 1e6, 1e7])
def test_goodput_of_a_steady_link(rate):
    estimator = LinkEstimator()
    for i in range(5):
        estimator.on_frame_end(transfer(rate, 1e-3, start=i))
    assert estimator.estimate().goodput == pytest.approx(rate, rel=0.1)


def test_round_trip_is_the_least():
    estimator = LinkEstimator()
    for delay in (9e-3, 2e-3, 5e-3):
        estimator.on_frame_end(transfer(1e8, delay))
    assert estimator.estimate().round_trip == pytest.approx(4e-3, rel=0.2)


def test_loss_is_a_share_of_messages():
    estimator = LinkEstimator()
    estimator.on_frame_end(transfer(1e6, 1e-3, lost=(2, 5)))
    estimator.on_frame_end(transfer(1e6, 1e-3))
    assert estimator.estimate().loss == pytest.approx(0.1)


def test_a_dead_link_has_no_goodput_and_all_loss():
    estimator = LinkEstimator()
    estimator.on_frame_end(transfer(1e6, 1e-3, lost=range(10)))
    estimate = estimator.estimate()
    assert (estimate.goodput, estimate.round_trip, estimate.loss) == (0, 0, 1)


def test_one_slow_frame_moves_nothing_and_a_changed_link_soon_does():
    estimator = LinkEstimator(frames=10)
    for _ in range(10):
        estimator.on_frame_end(transfer(1e7, 1e-4))
    estimator.on_frame_end(transfer(1e5, 1e-4))
    assert estimator.estimate().goodput > 5e6
    for _ in range(6):
        estimator.on_frame_end(transfer(1e5, 1e-4))
    assert estimator.estimate().goodput < 2e5


def test_frames_without_messages_say_nothing():
    estimator = LinkEstimator()
    estimator.on_frame_end(FrameTransfer())
    assert estimator.estimate().frame_messages == 0


def test_late_acknowledgements_of_less_are_ignored():
    frame = transfer(1e6, 1e-3)
    goodput = frame.goodput()
    frame.on_ack(99.0, 3, 90000)
    assert frame.goodput() == goodput


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
