"""Modes: what a plan becomes, what cannot be carried out, and when a plan is made again."""

from dataclasses import replace

import pytest

from intradp_ros.errors import ParameterError
from intradp_ros.model import zoo
from intradp_ros.planning import planners, ways
from intradp_ros.planning.link import Link, LinkEstimate
from intradp_ros.planning.plan import GOALS, Objective, Setup
from intradp_ros.planning.planners.frontier import TOLERANCE
from intradp_ros.planning.profile import estimated
from intradp_ros.runtime import modes
from intradp_ros.runtime.experience import Experience
from intradp_ros.runtime.modes import RIVALRY
from intradp_ros.runtime.replan import Replanner, Wish
from intradp_ros.runtime.settings import DeviceSettings
from intradp_ros.runtime.wire import Report, Stamp
from intradp_ros.tiling import split
from intradp_ros.tiling.part import Division

FIRST = Stamp(0, 0, '')


@pytest.fixture(scope='module')
def profile(detector):
    return estimated(detector.graph, 2e9)


@pytest.fixture(scope='module')
def demo():
    return zoo.build('demo_detector')


@pytest.fixture(scope='module')
def profile_of_demo(demo):
    return estimated(demo.graph, 2e9, model='demo_detector')


@pytest.fixture(scope='module')
def setup(profile):
    return Setup(profile, profile.scaled(0.1))


@pytest.fixture(scope='module')
def bottleneck(detector):
    return split.bottleneck(detector.graph)


def test_ways_become_settings(detector, setup, bottleneck):
    graph = detector.graph
    cases = {
        'local': ways.local(setup),
        'offload': ways.streamed(setup, graph.input, 8, 'x'),
        'cut': ways.streamed(setup, bottleneck.id, 6, 'x'),
        'meeting': ways.meeting(setup, bottleneck.id, 6, 'x')}
    for way, plan in cases.items():
        decision = modes.settings_of(plan, graph)
        assert decision.way == way
        settings = modes.carried_out(decision, DeviceSettings('x'), graph)
        assert settings.way == way and settings.mode == 'x'
        merge = settings.split.merge
        assert merge == (bottleneck.id if way in ('cut', 'meeting') else graph.input)
        assert way != 'cut' or settings.split.device_rows == bottleneck.rows
        assert way == 'local' or settings.tile_count == plan.tiles


def test_what_crosses_several_tensors_is_refused(detector, setup):
    plan = ways.streamed(setup, detector.graph.input, 4, 'x')
    several = type(plan)('x', 'cut', plan.script, 'a + b')
    with pytest.raises(ParameterError, match=r'a \+ b'):
        modes.settings_of(several, detector.graph)


def test_a_divided_plan_becomes_a_division(profile_of_demo, demo):
    setup = Setup(profile_of_demo, profile_of_demo.scaled(0.5))
    decision = modes.settings_of(ways.divided(setup, 0.25, 16, 6, 'x'), demo.graph, hedge=True)
    assert (decision.way, decision.halo_px, decision.tile_count) == ('divided', 16, 6)
    settings = modes.carried_out(decision, DeviceSettings('x'), demo.graph)
    assert settings.division == Division(120, 16) and settings.hedge
    back = modes.carried_out(modes.Decision('offload'), settings, demo.graph)
    assert back.division is None


@pytest.mark.parametrize('share', [0.0, 1.0])
def test_a_division_that_leaves_a_side_nothing_is_refused(demo, share):
    with pytest.raises(ParameterError, match='cannot be divided'):
        modes.carried_out(modes.Decision('divided', device_share=share), DeviceSettings('x'),
                          demo.graph)


def test_a_model_with_global_operators_is_not_divided(detector, setup):
    with pytest.raises(ParameterError, match='needs all rows'):
        modes.settings_of(ways.divided(setup, 0.5, 16, 6, 'x'), detector.graph)


def test_auto_divides_only_what_the_budget_allows_and_was_measured(profile_of_demo):
    """On a link and an edge for which halves of the image are the fastest way by far."""
    def decided(drop, mode='auto', profile=profile_of_demo):
        return modes.decide(mode, profile, 1.0, Link(1e7, 0.004), Objective(), drop)

    generous = decided(1.0)
    plan = ways.divided(Setup(profile_of_demo, profile_of_demo), 0.5, 16, 6, 'x')
    assert plan.kind == generous.kind
    (least, _), *_ = modes.HALO_DROPS['demo_detector']
    assert (generous.way, generous.halo_px) == ('divided', least)
    assert f'halo of {least} rows' in generous.reason
    for drop in (0.0, 1e-9):
        assert decided(drop).way != 'divided' and decided(drop).halo_px == 0
    assert decided(1.0, 'frontier').way != 'divided'
    assert decided(1.0, profile=replace(profile_of_demo, model='another')).way != 'divided'


def test_a_division_that_was_planned_for_a_larger_budget_ends_with_it():
    (least, drop), *_, (most, _) = modes.HALO_DROPS['demo_detector']
    assert modes.may_divide('auto', 'demo_detector', least, drop)
    for halo, budget in ((least, drop / 2), (most, 0.0)):
        assert not modes.may_divide('auto', 'demo_detector', halo, budget)
    assert not modes.may_divide('frontier', 'demo_detector', most, 1.0)
    assert not modes.may_divide('auto', 'another', most, 1.0)


def test_less_loss_takes_more_halo():
    halos = modes.HALO_DROPS['demo_detector']
    assert [modes.halo_allowed('demo_detector', drop) for _, drop in halos] == [
        halo for halo, _ in halos]
    assert list(halos) == sorted(halos) and [d for _, d in halos] == sorted(
        (d for _, d in halos), reverse=True)


def test_inexact_plans_are_refused(detector, setup, bottleneck):
    plan = ways.streamed(setup, bottleneck.id, 4, 'x')
    with pytest.raises(ParameterError, match='inexact'):
        modes.settings_of(type(plan)('x', plan.way, plan.script, plan.merge, exact=False),
                          detector.graph)


@pytest.mark.parametrize('mode', [n for n in modes.NAMES
                                  if n not in ('offload', 'split', 'divided')])
@pytest.mark.parametrize('bandwidth', [1e4, 1e6, 1e8])
def test_every_planner_decides_something_that_a_session_can_do(detector, profile, mode, bandwidth):
    decision = modes.decide(mode, profile, 10.0, Link(bandwidth, 0.004), Objective())
    settings = modes.carried_out(decision, DeviceSettings(mode), detector.graph)
    assert settings.way in modes.WAYS
    assert decision.hedge == (mode in modes.OURS and decision.way != 'local')
    assert mode == 'local' or f'{bandwidth / 1e6:.2f} MB/s' in decision.reason


def test_the_names_are_those_of_all_planners():
    assert set(planners.NAMES) | {'auto', 'split', 'divided'} == set(modes.NAMES)


def test_energy_needs_no_hedge_and_nothing_known_means_offering_the_input(profile):
    link = Link(1e7, 0.004)
    assert not modes.decide('auto', profile, 10.0, link, Objective('energy')).hedge
    decision = modes.decide('auto', profile, 10.0, None, Objective())
    assert (decision.way, decision.hedge) == ('offload', True)


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


def test_a_rival_is_of_another_kind_and_nearly_as_good(profile):
    for mode in ('frontier', 'auto'):
        hedged = modes.decide(mode, profile, 10.0, Link(5e6, 0.004), Objective(), 0.01, {})
        assert hedged.hedge and hedged.rival is None, 'it shows what local inference takes'
    profile = replace(profile, message_compute=1e-4)
    for mode in ('frontier', 'auto'):
        decision = modes.decide(mode, profile, 10.0, Link(5e6, 0.004), Objective(), 0.01)
        assert decision.rival is None, 'without a shortlist there is nothing to choose from'
        decision = modes.decide(mode, profile, 10.0, Link(5e6, 0.004), Objective(), 0.01, {})
        rival = decision.rival
        assert rival.kind != decision.kind
        assert decision.seconds * (1 - 2 * TOLERANCE) < rival.seconds < RIVALRY * decision.seconds
        assert rival.codec in modes.allowed_codecs(mode, 0.01) and rival.rival is None
    slow_link = modes.decide('frontier', profile, 10.0, Link(1e3, 0.004), Objective(), 0.0, {})
    assert slow_link.way == 'local' and slow_link.rival is None
    saving = Objective('energy')
    assert modes.decide('frontier', profile, 10.0, Link(5e6), saving, 0.0, {}).rival is None
    assert modes.decide('cic', profile, 10.0, Link(5e6, 0.004), Objective(), 0.0, {}).rival is None


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
    factors = replanner._experience.factors(1.0)
    assert factors.seen == pytest.approx({('offload', '', True): 2.0, ('offload', '', False): 4.0})


def test_of_a_decision_for_another_mode_what_is_lossy_ends_at_once(demo):
    lossy = modes.Decision('offload', '', 8, 'jpeg')
    decision = modes.Decision('divided', '', 8, 'jpeg', 0.5, halo_px=128, rival=lossy)
    assert modes.allowed(decision, 'auto', 'demo_detector', 1.0) == decision
    exact = modes.allowed(decision, 'frontier', 'demo_detector', 1.0)
    assert (exact.way, exact.codec, exact.rival.codec) == ('offload', 'uint8', 'uint8')
    assert modes.allowed(decision, 'cic', 'demo_detector', 0.0).rival is None
    settings = modes.carried_out(replace(exact, hedge=True), DeviceSettings('x'), demo.graph)
    assert (settings.rival.way, settings.rival.codec) == ('offload', 'uint8')
    assert settings.hedge and settings.rival.hedge


def test_what_tiles_take_says_nothing_of_ways_without():
    experience = Experience()
    for _ in range(5):
        experience.note(('cut', 'conv', True), 1.0, 2.0, 0.0)
        experience.note(('offload', '', True), 1.0, 1.5, 0.0)
    factors = experience.factors(0.0)
    assert factors.of(('cut', 'conv', True)) == pytest.approx(2.0, rel=0.05)
    # Not seen: as those that were and have as much to lose.
    assert factors.of(('meeting', 'conv', True)) == pytest.approx(1.75, rel=0.05)
    assert factors.of(('cut', 'conv', False)) == 1.0 == factors.of(('local', '', False))
    for _ in range(5):
        experience.note(('local', '', False), 1.0, 1.2, 0.0)
    # A slow processor is slow for all ways.
    assert experience.factors(0.0).of(('cut', 'conv', False)) == pytest.approx(1.2)
    experience.note(('offload', '', False), 1.0, 1.1, 0.0)
    assert experience.factors(0.0).of(('cut', 'conv', False)) == pytest.approx(1.2), \
        'one frame says little'


def test_a_slow_moment_says_nothing_against_the_way_that_was_in_use_then():
    experience, way, rival = Experience(), ('local', '', False), ('cut', 'conv', False)
    for tenth in range(300):  # ten frames a second, every 3 s one of the rival
        now = tenth / 10
        experience.note(way if tenth % 30 else rival, 1.0, 1.5 if 250 <= tenth else 1.0, now)
    factors = experience.factors(30.0)
    assert factors.of(way) == factors.of(rival) == 1.0
    for tenth in range(300, 400):
        experience.note(way, 1.0, 1.5, tenth / 10)
    assert experience.factors(40.0).of(way) == 1.5, 'it lasts'
    for _ in range(9):
        experience.note(way, 1.0, 4.0, 40.0)
    assert experience.factors(40.0).of(way) == 4.0, 'that is no moment'
    assert experience.factors(200.0).seen == {}


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


def test_who_hedges_by_itself():
    wanted = {goal: modes.hedges(Objective(goal), False) for goal in GOALS}
    assert wanted == {'latency': True, 'deadline': True, 'energy': False, 'throughput': False}
    assert not modes.hedges(Objective(), True), 'messages need the core'
    assert modes.hedges(Objective('energy', hedge=True), True), 'as asked'


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
    assert replanner.decide(profile, Wish('frontier'), link, 0.0, 1.0) is not None
    assert replanner.decide(profile, Wish('auto'), link, 0.0, 1.0) is not None
    again = replanner.decide(profile, Wish('frontier'), link, 0.0, 1.0)
    assert again.kind == first.kind, 'what JPEG rows took would be held against raw ones'


def test_what_stands_in_for_a_plan_has_its_own_time(profile):
    link = Link(5e6, 0.004)
    stand_in = modes.decide('coacto', profile, 10.0, link, Objective())
    assert 'instead: ' in stand_in.reason
    cut = modes.decide('neurosurgeon', profile, 10.0, link, Objective())
    assert (stand_in.kind, stand_in.seconds) == (cut.kind, cut.seconds)


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
