"""Modes: what a plan becomes, and what cannot be carried out."""

from dataclasses import replace

import pytest

from intradp_ros.errors import ParameterError
from intradp_ros.model import zoo
from intradp_ros.planning import planners, ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import GOALS, Objective, Setup
from intradp_ros.planning.planners.frontier import TOLERANCE
from intradp_ros.planning.profile import CodecCost, estimated
from intradp_ros.runtime import budget, modes
from intradp_ros.runtime.experience import Factors
from intradp_ros.runtime.modes import RIVALRY
from intradp_ros.runtime.settings import DeviceSettings
from intradp_ros.tiling import split
from intradp_ros.tiling.part import Division


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
    (least, _), *_ = budget.HALO_DROPS['demo_detector']
    assert (generous.way, generous.halo_px) == ('divided', least)
    assert f'halo of {least} rows' in generous.reason
    for drop in (0.0, 1e-9):
        assert decided(drop).way != 'divided' and decided(drop).halo_px == 0
    assert decided(1.0, 'frontier').way != 'divided'
    assert decided(1.0, profile=replace(profile_of_demo, model='another')).way != 'divided'


def test_a_division_that_was_planned_for_a_larger_budget_ends_with_it():
    (least, drop), *_, (most, _) = budget.HALO_DROPS['demo_detector']
    assert budget.may_divide('auto', 'demo_detector', least, drop)
    for halo, allowed in ((least, drop / 2), (most, 0.0)):
        assert not budget.may_divide('auto', 'demo_detector', halo, allowed)
    assert not budget.may_divide('frontier', 'demo_detector', most, 1.0)
    assert not budget.may_divide('auto', 'another', most, 1.0)


def test_less_loss_takes_more_halo():
    halos = budget.HALO_DROPS['demo_detector']
    assert [budget.halo_allowed('demo_detector', drop) for _, drop in halos] == [
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
        assert rival.codec in budget.allowed_codecs(mode, 0.01) and rival.rival is None
        assert rival.new
        for known in (Factors({rival.kind: 1.0}), Factors(past={rival.kind: 1.0})):
            same = modes.decide(mode, profile, 10.0, Link(5e6, 0.004), Objective(), 0.01, {},
                                known).rival
            assert same.kind == rival.kind and not same.new
    slow_link = modes.decide('frontier', profile, 10.0, Link(1e3, 0.004), Objective(), 0.0, {})
    assert slow_link.way == 'local' and slow_link.rival is None
    saving = Objective('energy')
    assert modes.decide('frontier', profile, 10.0, Link(5e6), saving, 0.0, {}).rival is None
    assert modes.decide('cic', profile, 10.0, Link(5e6, 0.004), Objective(), 0.0, {}).rival is None


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


def test_of_lossy_codecs_the_smallest_that_the_budget_and_the_profile_allow(profile):
    def chosen(budget, *names):
        ratios = {'uint8': 1.0, 'zlib': 0.9, 'jpeg': 0.1, 'jpeg_444': 0.05}
        codecs = tuple(CodecCost(name, ratios[name], 1e-10, 1e-10, not name.startswith('jpeg'))
                       for name in names)
        link = Link(2e6, 0.004)
        return modes.decide('auto', replace(profile, codecs=codecs), 10.0, link, Objective(),
                            budget).codec
    every = ('uint8', 'zlib', 'jpeg', 'jpeg_444')
    assert chosen(0.01, *every) == chosen(0.001, *every) == 'jpeg_444'
    # A profile that was measured before there was the other one.
    assert chosen(0.01, *every[:3]) == 'jpeg'
    assert chosen(0.001, *every[:3]) in ('uint8', 'zlib')
    assert chosen(0.0, *every) in ('uint8', 'zlib')


def test_who_hedges_by_itself():
    wanted = {goal: modes.hedges(Objective(goal), False) for goal in GOALS}
    assert wanted == {'latency': True, 'deadline': True, 'energy': False, 'throughput': False}
    assert not modes.hedges(Objective(), True), 'messages need the core'
    assert modes.hedges(Objective('energy', hedge=True), True), 'as asked'


def test_what_stands_in_for_a_plan_has_its_own_time(profile):
    link = Link(5e6, 0.004)
    stand_in = modes.decide('coacto', profile, 10.0, link, Objective())
    assert 'instead: ' in stand_in.reason
    cut = modes.decide('neurosurgeon', profile, 10.0, link, Objective())
    assert (stand_in.kind, stand_in.seconds) == (cut.kind, cut.seconds)
