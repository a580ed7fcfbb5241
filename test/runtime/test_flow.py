"""Window, pacing and resending on links whose figures are known, in virtual time."""

import pytest
from virtual_link import VirtualLink, losing

from intradp_ros.runtime.flow import FIRST_MESSAGES, PROBE_PERIOD, Flow
from intradp_ros.runtime.goodput import FrameTransfer
from intradp_ros.runtime.wire import Ack, AckState

MESSAGE = 30000


def whole(link, count):
    return sorted(link.arrived) == list(range(count))


def steady(rate):
    return lambda now: rate


@pytest.mark.parametrize('rate', [3e5, 3e6, 3e7])
@pytest.mark.parametrize('delay', [0.001, 0.02])
def test_a_steady_link_is_kept_busy(rate, delay):
    link = VirtualLink(Flow(), steady(rate), delay)
    for _ in range(2):
        link.frame([MESSAGE] * 100, 120.0)
    begin = link.now
    link.frame([MESSAGE] * 100, 120.0)
    assert whole(link, 100)
    # Once the window is open: the time of the bytes, and a few round trips.
    spent = link.transfer.sent[-1].end - begin
    assert spent < 100 * MESSAGE / rate * 1.1 + 4 * delay + 0.01
    assert link.estimator.estimate().goodput == pytest.approx(rate, rel=0.15)


@pytest.mark.parametrize('window', [0, 70000, 200000])
@pytest.mark.parametrize('share', [0.0, 0.1])
def test_the_window_is_never_exceeded(window, share):
    link = VirtualLink(Flow(window_bytes=window), steady(2e6), 0.01, losing(share))
    link.frame([MESSAGE] * 60, 20.0)
    assert whole(link, 60) and link.most_in_flight_over <= 0


def test_a_slow_link_gets_a_window_of_what_it_holds():
    flow = Flow()
    link = VirtualLink(flow, steady(6e5), 0.002)
    link.frame([MESSAGE] * 40, 20.0)
    assert flow.window < 4 * MESSAGE < FIRST_MESSAGES * flow.message_bytes


def test_a_link_that_gets_faster_gets_a_larger_window():
    flow = Flow()
    link = VirtualLink(flow, lambda now: 5e5 if now < 3 else 2e7, 0.02)
    link.frame([MESSAGE] * 40, 3.0)
    slow = flow.window
    link.frame([MESSAGE] * 400, 5.0)
    assert whole(link, 400) and flow.window > 5 * slow


def test_a_tenfold_drop_closes_the_window_within_the_frame():
    flow = Flow()
    link = VirtualLink(flow, lambda now: 2e7 if now < 0.2 else 2e6, 0.02)
    link.frame([MESSAGE] * 400, 0.2)
    fast = flow.window
    link.frame([MESSAGE] * 400, 1.0)
    assert flow.window < fast / 3


@pytest.mark.parametrize('share', [0.05, 0.3])
def test_what_is_lost_is_sent_again_and_only_that(share):
    link = VirtualLink(Flow(), steady(5e6), 0.002, losing(share))
    for _ in range(10):
        transfer = link.frame([MESSAGE] * 20, 5.0)
        assert whole(link, 20)
    sent = len(link.sends)
    # Acknowledgements are lost too: a few are sent in vain.
    assert 200 * (1 + share / 2) < sent < 200 / (1 - share) * 1.35
    assert transfer.resent == len(transfer.sent) - 20
    assert link.estimator.estimate().loss == pytest.approx(share, abs=0.5 * share + 0.05)


def test_nothing_is_sent_again_after_the_deadline():
    link = VirtualLink(Flow(), steady(5e6), 0.002, lambda now: now > 0.02)
    link.frame([MESSAGE] * 20, 10.0, deadline=0.5)
    assert link.transfer.resent > 0
    again = [now for n, (now, index) in enumerate(link.sends)
             if index in {i for _, i in link.sends[:n]}]
    assert again and max(again) <= 0.5


def test_a_reliable_middleware_is_left_to_send_again_itself():
    link = VirtualLink(Flow(reliable=True), steady(5e6), 0.002, losing(0.3))
    link.frame([MESSAGE] * 20, 0.4)
    assert link.transfer.resent == 0


@pytest.mark.parametrize('count', [2, 4])
@pytest.mark.parametrize('size', [20000, 100000])
@pytest.mark.parametrize('rate', [2e4, 7.6e4, 1.5e5])
def test_a_link_that_has_become_slow_soon_carries_everything_once(rate, size, count):
    """Messages take longer than the timeout did, and those that are sent again show nothing."""
    flow = Flow(reliable=True)
    link = VirtualLink(flow, lambda now: 5e6 if now < 5 else rate, 0.002)
    link.frame([size] * 50, 5.0)
    for _ in range(4):
        link.frame([size] * count, 4 * count * size / rate)
    assert whole(link, count) and not link.transfer.resent
    assert flow.rate == pytest.approx(rate, rel=0.05)


def test_a_dead_link_costs_a_message_now_and_then_and_is_found_again():
    link = VirtualLink(Flow(), steady(5e6), 0.002, lambda now: now < 5.0)
    for _ in range(50):
        link.frame([MESSAGE] * 20, 0.1)
        assert not link.arrived
    dead = [now for now, _ in link.sends]
    assert len(dead) <= FIRST_MESSAGES * 60000 / MESSAGE + 5.0 / PROBE_PERIOD
    assert link.estimator.estimate().goodput == 0 and link.estimator.estimate().loss == 1
    while not whole(link, 20) and link.now < 10.0:
        link.frame([MESSAGE] * 20, 0.2)
    assert link.now < 5.0 + 2 * PROBE_PERIOD + 0.3


def test_bursts_are_paced_once_the_rate_is_known():
    link = VirtualLink(Flow(window_bytes=10**7), steady(1e6), 0.002)
    link.frame([MESSAGE] * 20, 5.0)
    begin = link.now
    link.frame([MESSAGE] * 60, 5.0)
    first = [now for now, _ in link.sends if begin <= now < begin + 0.1]
    # At twice the rate, and two messages at once.
    assert len(first) * MESSAGE <= 2 * 1e6 * 0.1 + 3 * MESSAGE


def test_a_slow_device_is_not_taken_for_a_slow_link():
    """Three messages of a cut, each of which takes the device longer than the link."""
    link = VirtualLink(Flow(message_bytes=120000, reliable=True), lambda now: 2e7)
    for _ in range(7):
        link.frame([120000] * 8, 0.2)
    assert link.estimator.estimate().goodput == pytest.approx(2e7, rel=0.15)
    link.publishing = 0.015
    for _ in range(20):
        link.frame([100000] * 3, 0.2)
    assert link.estimator.estimate().goodput == pytest.approx(2e7, rel=0.15)


@pytest.mark.parametrize('rate', [5e5, 2e6, 5e6])
def test_a_link_slower_than_a_slow_device_is_measured(rate):
    link = VirtualLink(Flow(message_bytes=120000, reliable=True),
                       lambda now: 2e7 if now < 1.4 else rate)
    for _ in range(7):
        link.frame([120000] * 8, 0.2)
    link.publishing = 0.015
    for _ in range(20):
        link.frame([100000] * 3, 2.0)
    assert link.estimator.estimate().goodput == pytest.approx(rate, rel=0.15)


def test_a_link_that_waits_for_the_device_is_not_slow():
    flow = Flow()
    link = VirtualLink(flow, steady(5e6), 0.002)
    for _ in range(3):
        link.frame([MESSAGE] * 20, 0.5)
    known = link.estimator.estimate().goodput
    for _ in range(10):
        now, transfer = link.now, FrameTransfer()
        flow.begin(transfer, now + 10)
        for band in range(6):  # 6 ms on the link, made in 20 ms
            assert flow.next(now)[0] is None
            now += 0.02
            flow.put([tile(band)], True)
            flow.next(now)
            transfer.on_sent(now, now, MESSAGE)
            # The edge holds an acknowledgement back: something always seems to be in flight.
            if band:
                flow.on_ack(acknowledged(range(band), 0.02 * (band - 1)), now + 1e-3)
        link.now = now
        link.estimator.on_frame_end(transfer)
    assert link.estimator.estimate().goodput == pytest.approx(known, rel=0.01)


def test_urgent_tiles_overtake_and_what_was_lost_goes_first():
    link = VirtualLink(Flow(window_bytes=MESSAGE), steady(1e6))
    flow = link.flow
    link.frame([], 0.0)
    for index, urgent in ((0, False), (1, False), (2, True)):
        flow.put([tile(index)], urgent)
    order = []
    for now in (0.0, 0.1, 0.2):
        message, _ = flow.next(now)
        order.append(message.tile.index)
        flow.on_ack(acknowledged(order), now + 0.01)
    assert order == [2, 0, 1]
    flow.put([tile(3)], False)
    flow.next(0.3)
    flow.put([tile(4)], True)
    message, _ = flow.next(2.0)
    assert (message.tile.index, message.resends) == (3, 1)


def tile(index):
    from intradp_ros.runtime.wire import Stamp, Tile
    return Tile(Stamp(0, 0, ''), '', 1, 0, 0, index, 0, 0, 1, 0, 1, 1, bytes(MESSAGE))


def acknowledged(indices, span=0.0):
    following = next(i for i in range(99) if i not in indices)
    bitmap = sum(1 << i for i in range(64) if following + 1 + i in indices)
    return Ack(1, 0, following, bitmap, len(indices), len(indices) * MESSAGE, AckState.RECEIVING,
               receive_ms=span * 1e3)


def test_a_new_frame_replaces_the_old_one():
    link = VirtualLink(Flow(window_bytes=MESSAGE), steady(3e5))
    link.frame([MESSAGE] * 50, 0.5)
    stale = len(link.sends)
    link.frame([MESSAGE], 3.0)
    assert whole(link, 1) and len(link.sends) == stale + 1
