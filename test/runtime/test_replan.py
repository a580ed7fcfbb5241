"""When a plan is made again, and what the frames that it was followed in say of it."""

from dataclasses import replace

import pytest

from intradp_ros.planning.link import LinkEstimate
from intradp_ros.planning.plan import Objective
from intradp_ros.planning.profile import CodecCost, estimated
from intradp_ros.runtime import modes
from intradp_ros.runtime.replan import Replanner, Wish
from intradp_ros.runtime.wire import Report, Stamp

FIRST = Stamp(0, 0, '')


@pytest.fixture(scope='module')
def profile(detector):
    return estimated(detector.graph, 2e9)


def test_a_plan_is_made_again_only_when_something_has_moved(profile):
    replanner, wish = Replanner(), Wish('frontier')
    assert replanner.decide(profile, wish, LinkEstimate(), 0.0, 0.0).way == 'offload'
    fast = replanner.decide(profile, wish, LinkEstimate(5e7), 0.0, 0.0)
    assert fast is not None and '50.00 MB/s' in fast.reason
    for goodput in (4.5e7, 6e7):
        assert replanner.decide(profile, wish, LinkEstimate(goodput), 0.0, 0.0) is None
    assert replanner.decide(profile, wish, LinkEstimate(1e5), 0.0, 0.0) is not None
    assert replanner.decide(profile, wish, LinkEstimate(1e5), 0.09 * profile.total, 0.0) is None
    slow_edge = replanner.decide(profile, wish, LinkEstimate(1e5), 2.0 * profile.total, 0.0)
    assert slow_edge is not None and '0.5 times' in slow_edge.reason
    assert replanner.decide(profile, Wish('local'), LinkEstimate(1e5), 1.0, 0.0).way == 'local'


def test_what_frames_took_corrects_the_plan(profile):
    """Where the edge takes far longer than planned, it is left, and tried again later."""
    replanner, wish, link = Replanner(), Wish('frontier'), LinkEstimate(5e6)
    first = replanner.decide(profile, wish, link, 0.0, 0.0)
    assert first.way != 'local' and first.seconds > 0

    def note(decision, frames):
        report = Report(FIRST, 0, 0, mode='frontier', way=decision.way, queue_ms=1000.0)
        report.latency_ms = 1000 + 1e5 * decision.seconds
        for _ in range(frames):
            replanner.note(report, 1.0)
    note(first, 2)
    assert replanner.decide(profile, wish, link, 0.0, 1.0) is None, 'two frames say little'
    note(first, 5)
    second = replanner.decide(profile, wish, link, 0.0, 1.0)
    assert second.kind[2] < first.kind[2], 'it may be the tiles'
    note(second, 5)
    last = replanner.decide(profile, wish, link, 0.0, 1.0)
    assert last.way == 'local'
    assert replanner.decide(profile, wish, link, 0.0, 2.0) is None
    third = replanner.decide(profile, wish, link, 0.0, 130.0)
    assert (third.way, third.merge) == (first.way, first.merge)


def test_frames_of_the_rival_are_held_against_its_own_plan(profile):
    """The edge looks worse than local inference at first, and frames show that it is not."""
    profile = replace(profile, message_compute=1e-4)
    replanner, wish, link = Replanner(), Wish('frontier'), LinkEstimate(5e6)
    first = replanner.decide(profile, wish, link, 0.0, 0.0)
    rival = first.rival

    def note(decision, factor, now):
        report = Report(FIRST, 0, 0, mode='frontier', way=decision.way, merge=decision.merge,
                        tiles=decision.tile_count if decision.kind[2] else 1,
                        latency_ms=1e3 * factor * decision.seconds)
        for _ in range(9):
            replanner.note(report, now)
    note(first, 2.0, 1.0)
    note(rival, 0.5, 1.0)
    second = replanner.decide(profile, wish, link, 0.0, 1.0)
    assert second.kind == rival.kind and second.seconds == rival.seconds


def test_every_kind_that_may_be_the_best_one_is_tried(profile):
    """All but one take longer than planned, and the one is not among those planned at first."""
    profile = replace(profile, message_compute=1e-4)
    replanner, wish, estimate = Replanner(), Wish('frontier'), LinkEstimate(5e6)
    replanner.decide(profile, wish, estimate, 0.0, 0.0)
    link = profile.sending(estimate.assumed(wish.message_bytes))
    shortlists, = replanner._shortlists.values()
    planned = {}
    for plan in shortlists['uint8']:
        planned.setdefault(plan.kind, []).append(plan.run(link).latency)
    ranked = sorted(planned, key=lambda kind: min(planned[kind]))
    right = next(kind for kind in reversed(ranked) if kind[0] != 'local'
                 and min(planned[kind]) < 1.3 * min(planned[ranked[0]]))
    assert ranked.index(right) >= 2
    for now in range(0, 100, 5):
        decision = replanner.decision
        for each in (decision, decision.rival):
            if each is not None:
                report = Report(FIRST, 0, 0, mode='frontier', way=each.way, merge=each.merge,
                                tiles=each.tile_count if each.kind[2] else 1,
                                device_ms=1e3 * each.device_seconds,
                                latency_ms=1e3 * each.seconds * (1 if each.kind == right else 2))
                for _ in range(3):
                    replanner.note(report, float(now))
        replanner.decide(profile, wish, estimate, 0.0, float(now))
    assert replanner.decision.kind == right


def test_a_rival_may_differ_in_tiles_only(profile):
    """Reports name the input as what an offloaded frame is met at, decisions nothing."""
    replanner, wish, link = Replanner(), Wish('frontier'), LinkEstimate(5e6)
    replanner.decide(profile, wish, link, 0.0, 0.0)
    whole = modes.Decision('offload', '', 1, seconds=0.1)
    replanner.decision = modes.Decision('offload', '', 8, seconds=0.1, rival=whole)
    for tiles, seconds in ((8, 0.2), (1, 0.4)):
        for _ in range(5):
            replanner.note(Report(FIRST, 0, 0, mode='frontier', way='offload', merge='input',
                                  tiles=tiles, latency_ms=1e3 * seconds), 1.0)
    factors = replanner._experience['frontier'].factors(1.0)
    assert factors.seen == pytest.approx({('offload', '', True): 2.0, ('offload', '', False): 4.0})


def test_figures_that_tremble_do_not_have_plans_made_again(profile):
    """New ones at once, those that moved by more than a tenth after a while."""
    replanner, wish, link = Replanner(), Wish('frontier'), LinkEstimate(5e6)
    first = replanner.decide(profile, wish, link, 0.0, 0.0)

    def decided(share, now):
        report = Report(FIRST, 0, 0, mode='frontier', way=first.way,
                        latency_ms=1e3 * share * first.seconds)
        for _ in range(9):
            replanner.note(report, now)
        return replanner.decide(profile, wish, link, 0.0, now) is not None
    assert decided(0.5, 1.0) and replanner.decision.kind == first.kind
    assert not decided(0.58, 2.0), 'a moment ago'
    assert decided(0.58, 7.0)
    assert not decided(0.6, 20.0), 'hardly moved'


def test_frames_that_say_nothing_of_the_plan_are_not_noted(profile):
    replanner, wish, link = Replanner(), Wish('frontier'), LinkEstimate(5e6)
    way = replanner.decide(profile, wish, link, 0.0, 0.0).way
    for report in (Report(FIRST, 0, 0, mode='frontier', way=way, latency_ms=9e3, fallback=True),
                   Report(FIRST, 0, 0, mode='frontier', way='explored', latency_ms=9e3)):
        for _ in range(9):
            replanner.note(report, 1.0)
    assert replanner.decide(profile, wish, link, 0.0, 1.0) is None


def test_frames_of_another_mode_say_nothing_of_the_plan(profile):
    replanner, link = Replanner(), LinkEstimate(5e6)
    first = replanner.decide(profile, Wish('frontier'), link, 0.0, 0.0)

    def note(mode):
        for _ in range(9):
            replanner.note(Report(FIRST, 0, 0, mode=mode, way=first.way,
                                  latency_ms=1e5 * first.seconds), 1.0)
    note('offload')
    note('auto')
    assert replanner.decide(profile, Wish('frontier'), link, 0.0, 1.0) is None
    note('frontier')
    second = replanner.decide(profile, Wish('frontier'), link, 0.0, 1.0)
    assert second.kind != first.kind
    other = replanner.decide(profile, Wish('auto'), link, 0.0, 1.0)
    assert other.kind == first.kind, 'what raw rows took would be held against JPEG'
    again = replanner.decide(profile, Wish('frontier'), link, 0.0, 1.0)
    assert again.kind == second.kind, 'it has been seen in this mode'


def test_frames_beside_long_planning_say_nothing_of_their_plan(profile):
    """On one core they wait for it, whatever their plan."""
    replanner, wish, link = Replanner(), Wish('frontier'), LinkEstimate(5e6)
    decision = replanner.decide(profile, wish, link, 0.0, 0.0)

    def frames_ending_at(now, seconds):
        for _ in range(5):
            replanner.note(Report(FIRST, 0, 0, 0, 'frontier', decision.way,
                                  latency_ms=1e3 * seconds), now)
        return replanner.decide(profile, wish, link, 0.0, now)
    slow, times = 9 * decision.seconds, iter([10.0, 11.0, 20.0, 20.001])
    with replanner.working(lambda: next(times)):
        assert frames_ending_at(10.5, slow) is None, 'while it works'
    assert frames_ending_at(11.0 + slow / 2, slow) is None, 'that began while it worked'
    with replanner.working(lambda: next(times)):
        pass
    assert frames_ending_at(20.0 + slow, slow) is not None, 'nobody feels a millisecond'


def test_codecs_are_prepared_one_after_the_other_the_smallest_first(profile):
    costs = [CodecCost(name, ratio, 1e-10, 1e-10, name != 'jpeg')
             for name, ratio in (('uint8', 1.0), ('zlib', 0.9), ('jpeg', 0.1))]
    profile = replace(profile, codecs=tuple(costs), message_compute=1e-4)
    replanner, wish, link = Replanner(), Wish('auto', max_map_drop=0.01), LinkEstimate(1e6, 0.004)
    assert replanner.decide(profile, wish, link, 0.0, 0.0).codec == 'jpeg'
    shortlists, = replanner._shortlists.values()
    prepared = []
    for second in (1, 2):
        prepared.append([codec for codec, plans in shortlists.items() if plans])
        replanner.decide(profile, wish, link, 0.0, float(second))
    assert prepared == [['jpeg'], ['jpeg', 'zlib']] and all(shortlists.values())
    in_one_go = modes.decide('auto', profile, 8.0, link.assumed(60000), Objective(), 0.01,
                             dict(shortlists))
    assert replanner.decision == in_one_go
    assert replanner.decide(profile, wish, link, 0.0, 3.0) is None


def test_who_comes_back_to_what_was_half_prepared_need_not_wait(profile):
    """A list takes seconds on a robot: until then frames would go on by another mode's plan."""
    costs = [CodecCost(name, ratio, 1e-10, 1e-10, name != 'jpeg')
             for name, ratio in (('uint8', 1.0), ('zlib', 0.9), ('jpeg', 0.1))]
    profile = replace(profile, codecs=tuple(costs), message_compute=1e-4)
    replanner, link = Replanner(), LinkEstimate(1e6, 0.004)
    auto, other = Wish('auto', max_map_drop=0.01), Wish('frontier')

    def decide(wish, now):
        replanner.decide(profile, wish, link, 0.0, now)
        lists = replanner._shortlists[wish, replanner._speedup]
        return replanner.decision.codec, [codec for codec, plans in lists.items() if plans]
    assert decide(auto, 0.0) == ('jpeg', ['jpeg'])
    assert decide(other, 1.0) == ('uint8', ['uint8'])
    assert decide(auto, 2.0) == ('jpeg', ['jpeg']), 'decided with what there was'
    assert decide(auto, 3.0)[1] == ['jpeg', 'zlib'], 'and goes on'
    assert decide(auto, 4.0)[1] == ['jpeg', 'zlib', 'uint8']


def test_on_a_link_that_never_rests_all_codecs_are_prepared(profile):
    costs = [CodecCost(name, ratio, 1e-10, 1e-10, name != 'jpeg')
             for name, ratio in (('uint8', 1.0), ('zlib', 0.9), ('jpeg', 0.1))]
    profile = replace(profile, codecs=tuple(costs), message_compute=1e-4)
    replanner, wish = Replanner(), Wish('auto', max_map_drop=0.01)
    for second in range(6):
        replanner.decide(profile, wish, LinkEstimate(1e6 * 2 ** (second % 2), 0.004), 0.0, second)
    lists, = replanner._shortlists.values()
    assert len(lists) == 3 and all(lists.values())


def test_a_slow_device_is_planned_for_and_not_held_against_a_way(profile):
    profile = replace(profile, message_compute=1e-4)
    replanner, wish = Replanner(), Wish('frontier')
    link, edge_seconds = LinkEstimate(6e5, 0.004), profile.total / 8

    def frames(decision, pace, now):
        """Five frames that took what was planned but for the device's part."""
        for n in range(5):
            computing = decision.device_seconds * pace
            report = Report(FIRST, 0, n, way=decision.way, merge=decision.merge,
                            tiles=decision.tile_count, mode='frontier',
                            device_ms=computing * 1e3, latency_ms=1e3 * (
                                decision.seconds - decision.device_seconds + computing))
            replanner.note(report, now + n)
    planned = replanner.decide(profile, wish, link, edge_seconds, 0.0)
    assert planned.way == 'local'
    frames(planned, 1.0, 1.0)
    assert replanner.decide(profile, wish, link, edge_seconds, 6.0) is None or \
        replanner.decision.way == 'local'
    frames(planned, 4.0, 30.0)
    slow = replanner.decide(profile, wish, link, edge_seconds, 36.0)
    assert slow.way != 'local'
    alone = replace(profile, seconds=profile.scaled(4).seconds, message_compute=4e-4)
    fresh = modes.decide('frontier', alone, 32.0, link.assumed(60000), Objective(), 0.0, {})
    assert (slow.way, slow.merge) == (fresh.way, fresh.merge)
    assert slow.seconds == pytest.approx(fresh.seconds, rel=0.05)
    factors = replanner._experience['frontier'].factors(36.0)
    assert factors.seen[planned.kind] == pytest.approx(1, rel=0.01)
    frames(slow, 0.25, 70.0)
    assert replanner.decide(profile, wish, link, edge_seconds, 76.0).way == 'local'


@pytest.mark.parametrize('tiles, device_ms, pace, factor', [
    (1, 100.0, 2.0, 1.0), (3, 100.0, 1.0, 1.5), (3, 25.0, 0.5, 1.0)])
def test_tiles_that_take_longer_than_planned_are_not_a_slow_device(
        profile, tiles, device_ms, pace, factor):
    replanner = Replanner()
    replanner.decide(profile, Wish('frontier'), LinkEstimate(5e6), 0.0, 0.0)
    planned = modes.Decision('cut', 'conv', tiles, seconds=0.1, device_seconds=0.05)
    replanner.decision = planned
    for n in range(5):
        replanner.note(Report(FIRST, 0, n, mode='frontier', way='cut', merge='conv', tiles=tiles,
                              device_ms=device_ms, latency_ms=50 + device_ms), 1.0 + n)
    assert replanner._paces.lately(6.0) == pytest.approx(pace)
    seen = replanner._experience['frontier'].factors(6.0).seen
    assert seen == pytest.approx({planned.kind: factor})


def test_a_way_that_is_slower_than_the_device_is_left(profile):
    """Local inference takes half as long again as planned, and what cuts compute does not."""
    replanner, wish = Replanner(), Wish('frontier')
    link = LinkEstimate(4e6)
    replanner.decide(profile, wish, link, 0.0, 0.0)
    local = modes.Decision('local', seconds=0.2, device_seconds=0.2)
    cut = modes.Decision('cut', 'conv', 1, seconds=0.22, device_seconds=0.1)
    replanner.decision = replace(local, rival=cut)
    for n in range(20):
        each, pace = (local, 1.5) if n % 2 else (cut, 1.1)
        took = each.device_seconds * pace
        replanner.note(Report(
            FIRST, 0, n, mode='frontier', way=each.way, merge=each.merge, tiles=1,
            device_ms=1e3 * took, latency_ms=1e3 * (each.seconds - each.device_seconds + took)),
            n / 2)
    pace = replanner._paces.lately(10.0)
    assert 1.1 <= pace <= 1.5
    factors = replanner._experience['frontier'].factors(10.0)
    expected = {each.kind: (each.seconds + (pace - 1) * each.device_seconds)
                * factors.of(each.kind) for each in (local, cut)}
    assert expected == pytest.approx({local.kind: 0.3, cut.kind: 0.23})


def test_a_plan_is_made_for_the_pace_of_now(profile):
    """On a link that never rests no plan is left alone for long, and each knows the device."""
    replanner, wish = Replanner(), Wish('frontier')
    for n in range(12):
        decision = replanner.decide(profile, wish, LinkEstimate(1e5 * 2 ** (n % 2)), 0.0, n) \
            or replanner.decision
        assert decision.way == 'local'
        for _ in range(3):
            replanner.note(Report(FIRST, 0, n, mode='frontier', way='local',
                                  device_ms=1400 * profile.total,
                                  latency_ms=1400 * profile.total), n)
    assert decision.seconds == pytest.approx(1.4 * profile.total, rel=0.1)


def test_what_was_seen_stays_true_when_the_edges_step_falls(profile):
    """Device and edge are what they were, and so is the plan: 1.4 times as fast is no step."""
    profile = replace(profile, message_compute=1e-4)
    replanner, wish, link = Replanner(), Wish('frontier'), LinkEstimate(2e7)
    first = replanner.decide(profile, wish, link, profile.total / 2.0, 0.0)
    assert first.edge_seconds > 0
    for n in range(9):
        replanner.note(Report(FIRST, 0, n, mode='frontier', way=first.way, merge=first.merge,
                              tiles=first.tile_count, device_ms=1e3 * first.device_seconds,
                              latency_ms=1e3 * first.seconds), n)
    replanner.decide(profile, wish, link, profile.total / 1.1, 9.0)
    assert replanner._speedup == 1.0
    sending = profile.sending(link.assumed(wish.message_bytes))
    planned = min(plan.run(sending).latency for plan in replanner._shortlists[wish, 1.0]['uint8']
                  if plan.kind == first.kind)
    assert planned > 1.5 * first.seconds
    assert replanner._factors.of(first.kind) * planned == pytest.approx(first.seconds, rel=0.1)
