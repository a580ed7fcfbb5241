"""Planners of sequential cuts against all cuts that there are, on small random graphs."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intradp_ros.errors import ParameterError
from intradp_ros.model.graph import WHOLE, Graph, Need, Operator, Tensor
from intradp_ros.planning import ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import GOALS, Encoding, Objective, Setup, cost
from intradp_ros.planning.planners import cic, dynamic_split, find, flow, min_cut, neurosurgeon
from intradp_ros.planning.planners.partition import LATENCY, joules, partition
from intradp_ros.planning.planners.region import Region
from intradp_ros.planning.profile import Profile, Staircase

LATENCY_GOAL, ENERGY, THROUGHPUT = map(Objective, ('latency', 'energy', 'throughput'))
BANDWIDTHS = 1e2, 1e4, 3e4, 1e5, 1e6, 1e9


def chain(sizes, readers, outputs=()):
    """Make a graph of the sizes of its tensors, input first, and the tensors that each reads."""
    tensors = tuple(Tensor(i, f't{i}', (1, size), torch.uint8, WHOLE)
                    for i, size in enumerate(sizes))
    operators = tuple(
        Operator(i, f'o{i}', 'test', read, i + 1, tuple(Need.same(1) for _ in read),
                 kernel=lambda device: None) for i, read in enumerate(readers))
    return Graph(tensors, operators, 0, tuple(sorted({len(sizes) - 1, *outputs})))


def profile(graph, seconds, after=0.0, before=0.0):
    return Profile('test', '', '', '', 1, graph, tuple(Staircase((1,), (s,)) for s in seconds),
                   before=before, after=after, result_bytes=50)


@st.composite
def setups(draw):
    count = draw(st.integers(1, 7))
    size, second = st.integers(1, 20_000), st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0, 2.5])
    readers = []
    for i in range(count):
        # The tensor before it most often, so that graphs have chains and not only one level.
        read = {i} if draw(st.booleans()) else set()
        read |= draw(st.sets(st.integers(0, i), max_size=3))
        if not read and draw(st.integers(0, 3)):
            read = {i}
        readers.append(tuple(sorted(read)))
    depends = {0}
    for i, read in enumerate(readers):
        depends |= {i + 1} if depends & set(read) else set()
    if count not in depends:  # a model's result depends on the image
        readers[-1] = tuple(sorted({0, *readers[-1]}))
    graph = chain(draw(st.lists(size, min_size=count + 1, max_size=count + 1)), readers,
                  draw(st.sets(st.integers(1, count), max_size=2)))
    times = st.lists(second, min_size=count, max_size=count)
    encoding = draw(st.sampled_from([Encoding(), Encoding('slow', 0.5, 2e-5, 1e-5),
                                     Encoding('float32', 4.0)]))
    return Setup(profile(graph, draw(times), draw(second), draw(second)),
                 profile(graph, draw(times), draw(second)), encoding)


links = st.builds(Link, st.sampled_from(BANDWIDTHS), st.sampled_from([0.0, 0.05]),
                  st.sampled_from([0.0, 0.02]), message_bytes=st.just(5000),
                  overhead=st.sampled_from([1.0, 1.1]), down=st.sampled_from([0.0, 1e4]))
plain_links = links.map(lambda link: replace(link, message_seconds=0.0))


def every_plan(setup):
    """All sequential plans: closed sets of operators, and the outputs sent or not."""
    graph = setup.graph
    made_by = {o.output: o.id for o in graph.operators}
    plans = [ways.local(setup)]
    for bits in product([False, True], repeat=len(graph.operators)):
        head = {i for i, bit in enumerate(bits) if bit}
        if all(i not in made_by or made_by[i] in head
               for o in head for i in graph.operators[o].inputs):
            plans.append(ways.sequential(setup, head, 'test', send_outputs=True))
    return plans


def figure(setup, plan, link, objective):
    """What the objective asks for: seconds or joules."""
    return cost(setup, plan, link, objective)[1]


def least(setup, link, objective):
    return min(figure(setup, plan, link, objective) for plan in every_plan(setup))


@settings(max_examples=150, deadline=None)
@given(setups(), plain_links, st.sampled_from([LATENCY_GOAL, ENERGY]))
def test_min_cut_is_the_best_of_all_cuts(setup, link, objective):
    plan = min_cut.plan(setup, link, objective)
    assert figure(setup, plan, link, objective) == pytest.approx(
        least(setup, link, objective), rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(setups(), links, st.sampled_from([LATENCY_GOAL, ENERGY]))
def test_the_cost_of_a_minimum_cut_is_the_timelines(setup, link, objective):
    """The sum that is minimised is the latency (or the joules) that is simulated."""
    problem = partition(setup)
    rates = joules(setup.device.power) if objective is ENERGY else LATENCY
    cut = min_cut.least(problem, replace(link, message_seconds=0.0), rates)
    link = replace(link, message_seconds=0.0)
    assert cut.figures(link, rates) == pytest.approx(
        figure(setup, problem.plan(cut, 'test'), link, objective), rel=1e-9)


@settings(max_examples=150, deadline=None)
@given(setups(), st.lists(plain_links, min_size=1, max_size=6),
       st.sampled_from([LATENCY_GOAL, ENERGY]))
def test_one_table_of_cic_is_the_best_of_all_cuts_on_every_link(setup, some, objective):
    table = cic.prepare(setup, objective)
    for link in some:
        plan = table.decide(link, objective)
        assert figure(setup, plan, link, objective) == pytest.approx(
            least(setup, link, objective), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(setups(), links, st.sampled_from([LATENCY_GOAL, ENERGY]))
def test_planners_of_cuts_err_by_less_than_a_message_for_each_tensor(setup, link, objective):
    """A sum over tensors does not know that messages overlap."""
    slack = link.message_seconds * len(setup.graph.tensors)
    if objective is ENERGY:
        slack *= setup.device.power.send
    for planner in cic, min_cut:
        plan = planner.plan(setup, link, objective)
        assert figure(setup, plan, link, objective) <= least(setup, link, objective) + slack + 1e-9


@settings(max_examples=100, deadline=None)
@given(setups(), st.sampled_from([LATENCY_GOAL, ENERGY]))
def test_minimum_cuts_of_a_region_find_what_listing_it_finds(setup, objective):
    problem = partition(setup)
    rates = joules(setup.device.power) if objective is ENERGY else LATENCY
    stops = problem.articulations
    for first, last in zip(stops, stops[1:]):
        region = Region(problem, first, last)
        listed, _ = region.winners(10_000, [rates])
        solved, _ = region.winners(0, [rates])
        for x in (0.0, 1e-9, 1e-6, 1e-5, 1e-4, 1e-3, 1.0):
            expected = min(a + s * x for a, s in (t.line(rates) for t in region.closures(10_000)))
            for found in listed, solved:
                assert min(a + s * x for a, s in (t.line(rates) for t in found)) == \
                    pytest.approx(expected, rel=1e-9)
        for totals in region.closures(10_000):
            assert region.totals(set(totals.inside)).line(rates) == \
                pytest.approx(totals.line(rates))


@settings(max_examples=80, deadline=None)
@given(setups(), plain_links, st.floats(0.0, 4.0), st.sampled_from([0.0, 3.0, 20.0]))
def test_totals_give_what_the_simulation_gives(setup, link, deadline, cap):
    """`Cut.key` is `plan.cost` without a simulation, for every goal and every cut of a table."""
    for goal in 'latency', 'energy', 'deadline', 'throughput':
        objective = Objective(goal, deadline=deadline, energy_cap=cap)
        table = cic.prepare(setup, objective)
        for cut, plan in zip(table.cuts, table.plans):
            assert cut.key(link, objective, setup.device.power) == pytest.approx(
                cost(setup, plan, link, objective), rel=1e-9, abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(setups(), links)
def test_neurosurgeon_is_the_best_of_cuts_through_one_tensor(setup, link):
    graph = setup.graph
    heads = [{o.id for o in graph.ancestors([t.id])} for t in graph.tensors]
    behind = [ways.sequential(setup, head, 'test', send_outputs=True) for head in heads]
    single = [p for p, t in zip(behind, graph.tensors) if p.merge == t.name]
    everything = {o.id for o in graph.operators}
    # Where the rest of a result does not depend on the image, there are no paths to speak of.
    if all(o.inputs for o in graph.operators) and graph.ancestors(graph.outputs) == \
            list(graph.operators):
        assert neurosurgeon.plan(setup, link, LATENCY_GOAL).run(link).latency == pytest.approx(
            min(p.run(link).latency for p in [ways.local(setup), *single]), rel=1e-9)
    assert neurosurgeon.plan(setup, link, LATENCY_GOAL).run(link).latency <= min(
        ways.sequential(setup, head, 'test').run(link).latency for head in ((), everything)) + 1e-9


@settings(max_examples=60, deadline=None)
@given(setups(), plain_links)
def test_heavy_load_is_within_the_factor_of_the_paper(setup, link):
    """DNN Surgery Heavy promises three times the least largest stage; one tensor is exact."""
    plan = min_cut.plan(setup, link, THROUGHPUT)
    busiest = figure(setup, plan, link, THROUGHPUT)
    assert busiest <= 3 * least(setup, link, THROUGHPUT) + 1e-9
    scan = neurosurgeon.plan(setup, link, THROUGHPUT)
    assert busiest <= figure(setup, scan, link, THROUGHPUT) + 1e-9
    table = cic.prepare(setup, THROUGHPUT).decide(link, THROUGHPUT)
    assert figure(setup, table, link, THROUGHPUT) <= \
        figure(setup, scan, link, THROUGHPUT) + 1e-9


@settings(max_examples=50, deadline=None)
@given(setups(), plain_links, st.floats(0.5, 2.0))
def test_a_deadline_is_met_where_the_fastest_cut_meets_it(setup, link, tightness):
    fastest = min_cut.plan(setup, link, LATENCY_GOAL).run(link)
    objective = Objective('deadline', deadline=fastest.latency * tightness)
    for planner in min_cut, cic:
        frame = planner.plan(setup, link, objective).run(link)
        if tightness >= 1:
            assert frame.latency <= objective.deadline + 1e-9
            assert frame.energy(setup.device.power) <= \
                fastest.energy(setup.device.power) + 1e-9
        else:
            assert frame.latency == pytest.approx(fastest.latency)


CUTS = 'neurosurgeon', 'min_cut', 'cic', 'dynamic_split'


@settings(max_examples=60, deadline=None)
@given(setups(), plain_links, st.floats(1.0, 20.0), st.sampled_from(CUTS))
def test_more_bandwidth_or_a_faster_server_is_never_slower(setup, link, factor, name):
    planner = find(name)
    before = planner.plan(setup, link, LATENCY_GOAL).run(link).latency
    wider = replace(link, bandwidth=link.bandwidth * factor, down=link.down * factor)
    faster = replace(setup, edge=setup.edge.scaled(1 / factor))
    assert planner.plan(setup, wider, LATENCY_GOAL).run(wider).latency <= before + 1e-9
    assert planner.plan(faster, link, LATENCY_GOAL).run(link).latency <= before + 1e-9


@pytest.mark.parametrize('goal', GOALS)
@pytest.mark.parametrize('name', CUTS)
def test_a_dead_link_means_local_inference(name, goal):
    graph = chain([100, 10, 5], [(0,), (1,)])
    setup = Setup(profile(graph, [9.0, 9.0]), profile(graph, [0.0, 0.0]))
    link = Link(0.0, steps=((0.0, 0.0),))
    assert find(name).plan(setup, link, Objective(goal, energy_cap=1.0)).way == 'local'
    assert find(name).plan(setup, link, Objective(goal)).way == 'local'


@pytest.mark.parametrize('planner', [cic, dynamic_split])
def test_a_table_knows_a_dead_link_too(planner):
    setup, link = bottlenecks(), Link(0.0, steps=((0.0, 0.0), (1.0, 1e6)))
    for goal in GOALS:
        table = planner.prepare(setup, Objective(goal))
        assert table.decide(link, Objective(goal)).way == 'local'


def test_a_hull_keeps_the_lines_that_lead_somewhere():
    lines = [(0.0, 4.0), (3.0, 1.0), (1.9, 2.5), (1.0, 2.0), (9.0, 1.0), (0.0, 5.0), (4.0, 0.9)]
    found = flow.hull(lines)
    for x in (0.0, 0.3, 0.5, 0.7, 1.0, 1.9, 2.0, 2.1, 9.0, 11.0, 1e6):
        assert found.lines[found.at(x)][0] + found.lines[found.at(x)][1] * x == \
            min(a + s * x for a, s in lines)
    assert [lines[i] for i in found.places] == list(found.lines)
    assert found.places == (0, 3, 1, 6)


def test_an_inner_cut_through_several_tensors_is_found():
    """Two branches shrink before they meet again: only the cut through both is good."""
    graph = chain([1000, 1000, 10, 10, 900, 5], [(0,), (1,), (1,), (2, 3), (4,)])
    setup = Setup(profile(graph, [0.1, 0.1, 0.1, 5.0, 0.1]), profile(graph, [0.01] * 5))
    link = Link(1000.0)
    for planner in min_cut, cic:
        assert planner.plan(setup, link, LATENCY_GOAL).merge == 't2 + t3'
    assert neurosurgeon.plan(setup, link, LATENCY_GOAL).merge == 't0'


def bottlenecks():
    # Smaller than the input (100): t2, t3 and t5; smaller than all before: t2 and t5.
    graph = chain([100, 400, 50, 60, 100, 20, 300], [(i,) for i in range(6)])
    return Setup(profile(graph, [1.0] * 6), profile(graph, [0.1] * 6))


@pytest.mark.parametrize('strict, expected', [
    (False, ['t0', 't2', 't3', 't5', '']), (True, ['t0', 't2', 't5', ''])])
def test_candidates_are_the_natural_bottlenecks(strict, expected):
    problem = partition(bottlenecks())
    assert [problem.plan(cut, '').merge for cut in dynamic_split.candidates(problem, strict)] \
        == expected


def test_the_table_agrees_with_trying_all_at_its_own_rates():
    setup = bottlenecks()
    table = dynamic_split.prepare(setup, LATENCY_GOAL, rates=(1.0, 10.0, 30.0, 1e3, 1e6))
    for rate in table.rates:
        for round_trip in 0.0, 5.0, 50.0:
            link = Link(rate, round_trip)
            assert table.decide(link, LATENCY_GOAL).merge == \
                dynamic_split.plan(setup, link, LATENCY_GOAL).merge


def test_the_split_moves_with_rate_load_and_batch():
    setup = bottlenecks()
    table = dynamic_split.prepare(setup, LATENCY_GOAL)
    assert table.decide(Link(1e9), LATENCY_GOAL).way == 'offload'
    assert table.decide(Link(1e9), LATENCY_GOAL, load=12.0).way == 'local'
    assert table.decide(Link(30e3, round_trip=5.8), LATENCY_GOAL).way == 'local'
    assert table.decide(Link(30e3, round_trip=5.8), LATENCY_GOAL, batch=4).way == 'offload'
    with pytest.raises(ParameterError, match='batch of 0'):
        table.decide(Link(1e9), LATENCY_GOAL, batch=0)
    with pytest.raises(ParameterError, match='rates have to ascend'):
        dynamic_split.prepare(setup, LATENCY_GOAL, rates=(2.0, 1.0))


def test_jpeg_takes_the_setups_own_figures_where_it_has_them():
    setup = bottlenecks()
    own = replace(setup, encoding=Encoding('jpeg90', 0.25, lossless=False))
    link = Link(1.0, down=1e9)
    planner = find('jpeg_offload')
    lossless = find('offload').plan(setup, link, LATENCY_GOAL)
    assert lossless.exact and lossless.run(link).sent('uplink') == 100
    plan = planner.plan(own, link, LATENCY_GOAL)
    assert not plan.exact and plan.run(link).sent('uplink') == 25
    assert planner.plan(setup, link, LATENCY_GOAL).run(link).sent('uplink') == \
        100 * planner.JPEG.ratio
    assert find('local').plan(setup, link, LATENCY_GOAL).run(link).latency == 6.0
