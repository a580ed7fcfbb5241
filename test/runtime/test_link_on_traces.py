"""The estimate of a link follows links that change: made ones and recorded ones."""

import random
import statistics
from pathlib import Path

import pytest
from virtual_link import VirtualLink

import traces
from intradp_ros.runtime.flow import Flow

MESSAGE, MESSAGES, FRAMES = 20000, 12, 7  # the estimate is of the last seven frames
PERIOD = 0.1
RECORDED = Path(__file__).parents[3] / 'shared' / 'data' / 'traces'


def followed(trace, seconds, lost=lambda now: False, reliable=False):
    """
    Send a frame of 240 kB ten times a second over a trace.

    :returns: (time, estimate) after each frame, and the link.
    """
    link = VirtualLink(Flow(reliable=reliable), lambda now: traces.at(trace, now), 0.002, lost)
    estimates = []
    while link.now < seconds:
        link.frame([MESSAGE] * MESSAGES, PERIOD)
        estimates.append((link.now, link.estimator.estimate()))
    return estimates, link


def errors(trace, estimates, since=0.0):
    """
    Relative errors against the median of the trace over what the estimate looks back on.

    There is no true goodput during an outage.
    """
    found = []
    for now, estimate in estimates:
        span = [traces.at(trace, now - PERIOD * FRAMES * i / 70) for i in range(1, 71)]
        if now >= since and min(span) > 0:
            found.append(abs(estimate.goodput / statistics.median(span) - 1))
    return found


def goodput(estimates, at):
    return next(e.goodput for now, e in estimates if now >= at)


@pytest.mark.parametrize('before, after', [(10e6, 1e6), (1e6, 10e6), (4e6, 8e6)])
@pytest.mark.parametrize('reliable', [True, False], ids=['reliable', 'best effort'])
def test_a_step_is_known_after_half_of_the_frames_looked_back_on(before, after, reliable):
    estimates, _ = followed([(0.0, before), (3.0, after)], 6.0, reliable=reliable)
    assert goodput(estimates, 2.9) == pytest.approx(before, rel=0.1)
    # Four of seven frames, and the one in which it happened.
    assert goodput(estimates, 3.0 + 5.5 * PERIOD) == pytest.approx(after, rel=0.15)


@pytest.mark.parametrize('first, last', [(2e6, 12e6), (12e6, 2e6)], ids=['up', 'down'])
def test_a_ramp_is_followed_no_further_behind_than_the_frames_looked_back_on(first, last):
    trace = [(i / 20, first + (last - first) * i / 200) for i in range(201)]
    estimates, _ = followed(trace, 10.0)
    assert max(errors(trace, estimates, since=1.0)) < 0.15


@pytest.mark.parametrize('gap', [0.5, 3.0, 20.0])
def test_an_outage_leaves_the_goodput_and_is_over_when_it_is_over(gap):
    estimates, link = followed([(0.0, 5e6)], 6.0 + gap, lost=lambda now: 3.0 <= now < 3.0 + gap)
    assert all(e.goodput == pytest.approx(5e6, rel=0.15) for now, e in estimates if now > 0.5)
    loss = {now: e.loss for now, e in estimates}
    assert max(share for now, share in loss.items() if now < 3.0) == 0 == estimates[-1][1].loss
    assert max(loss.values()) > (0.05 if gap < 1 else 0.8) and len(link.arrived) == MESSAGES


def burst_loss(every, seconds, share, seed=0):
    """Lose nothing, but a share of all messages in bursts (the model of Gilbert and Elliott)."""
    chance = random.Random(seed)
    ends, state = [0.0], [True]

    def lost(now):
        while now >= ends[0]:
            state[0] = not state[0]
            ends[0] += chance.expovariate(1 / (seconds if state[0] else every))
        return state[0] and chance.random() < share
    return lost


@pytest.mark.parametrize('share', [0.3, 0.8])
def test_bursts_of_loss_are_loss_and_no_slowness(share):
    trace = [(0.0, 5e6)]
    estimates, _ = followed(trace, 60.0, burst_loss(1.5, 0.2, share))
    found = errors(trace, estimates, since=1.0)
    assert statistics.median(found) < 0.1 and statistics.quantiles(found, n=20)[-1] < 0.35
    losses = [e.loss for _, e in estimates]
    # A burst takes 2 of 17 tenths of a second.
    assert statistics.mean(losses) == pytest.approx(share * 0.2 / 1.7, rel=0.6)


@pytest.mark.parametrize('made', [
    traces.wifi(60, 1), traces.lte(60, 1), traces.roaming(traces.wifi(60, 2), 2)],
    ids=['Wi-Fi', 'LTE', 'Wi-Fi with outages'])
def test_a_random_walk_is_followed(made):
    estimates, _ = followed(made, 60.0)
    assert statistics.median(errors(made, estimates, since=1.0)) < 0.15


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f'no recorded traces in {RECORDED}')
def test_recorded_traces_are_followed():
    files = sorted(RECORDED.glob('*.csv'))
    assert files
    for file in files:
        trace = traces.read(file)
        estimates, _ = followed(trace, min(120.0, traces.length(trace)))
        found = errors(trace, estimates, since=1.0)
        assert statistics.median(found) < 0.15, file.name
        assert statistics.quantiles(found, n=10)[-1] < 0.6, file.name
