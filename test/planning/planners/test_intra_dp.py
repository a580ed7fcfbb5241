"""Shares against schedules made by hand, plans against brute force, exact rows on the engine."""

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from intradp_ros.errors import IntraDPError
from intradp_ros.model.capture import capture
from intradp_ros.planning import recompute, shares, ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective
from intradp_ros.planning.planners import intra_dp
from intradp_ros.planning.timeline import simulate
from intradp_ros.tiling.engine import Engine

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / 'tiling'))
from random_networks import networks  # noqa: E402
from small import even, pointwise, proportional, skipping  # noqa: E402

BANDWIDTHS = (3e2, 3e3, 3e4, 3e5, 3e6)


@pytest.mark.parametrize('of, seconds', [
    # Device 8 s an operator, edge 4 s, 96 bytes a tensor at 8 bytes/s, the result 2 s.
    ((1, 1), 16.0),
    ((0, 0), 12 + 8 + 2.0),
    ((1, 0), 8 + 12 + 4 + 2.0),
    # Half the input up (6 s) and half of both operators there (4 s); half the result down (6 s).
    ((0.5, 0.5), 6 + 4 + 6.0),
    # Halves of both tensors up, one after the other, then all of the second operator.
    ((0.5, 0), 12 + 4 + 2.0),
    # The first on the edge, its output down, the second on the device.
    ((0, 1), 12 + 4 + 12 + 8.0),
    # A quarter up (3 s) and computed (1 s), half of what the device lacks comes down (1/4: 3 s);
    # the device's half of the second (6 s) ends later than the edge's.
    ((0.75, 1), 3 + 1 + 3 + 8.0),
])
def test_hand_computed_schedules(of, seconds):
    setup = even(pointwise(), 8.0, 4.0, tensor_ratio=0.25)
    tasks, ends = shares.schedule(setup, of)
    assert simulate(tasks, ends, Link(8.0)).latency == pytest.approx(seconds)


def test_links_are_used_both_ways_at_once():
    setup = even(pointwise(3), 8.0, 4.0, tensor_ratio=0.25)
    up, down = shares.slices(setup, (0.5, 0.75, 0.25))
    graph = setup.graph
    assert {graph.tensors[t].id: size for t, size in up.items()} == {
        graph.input: 48.0, graph.operators[1].output: 48.0}
    assert down == {graph.operators[0].output: 24.0, graph.operators[2].output: 72.0}


def test_operators_that_read_one_tensor_are_tied_and_global_ones_divide_nothing():
    graph = skipping(head=True)
    groups = shares.tied(graph)
    for operator in graph.operators:
        for tensor in operator.inputs:
            readers = {groups[o.id] for o in graph.operators if tensor in o.inputs}
            assert len(readers) == 1
    can_divide = shares.divisible(graph, groups)
    assert not any(can_divide[o.id] for o in graph.operators if not o.is_local)
    assert any(can_divide)
    fixed = shares.permitted([0.5] * len(groups), can_divide)
    assert {x for x, can in zip(fixed, can_divide) if not can} == {0.0}


@pytest.mark.parametrize('edge', [0.5, 4.0])
@pytest.mark.parametrize('bandwidth', [1.0, 8.0, 30.0, 400.0])
def test_published_plan_is_the_best_of_all_grid_shares(edge, bandwidth):
    setup, link = even(pointwise(4), 3.0, edge), Link(bandwidth, 0.1)
    best = min(simulate(*shares.schedule(setup, of), link).latency
               for of in product(intra_dp.GRID, repeat=4))
    plan = intra_dp.plan(setup, link, Objective(halo=0))
    assert plan.run(link).latency == pytest.approx(best)


def test_published_plan_takes_the_better_side_of_a_global_operator():
    graph = skipping(head=True)
    setup = proportional(graph)
    for bandwidth in BANDWIDTHS:
        link = Link(bandwidth)
        found = intra_dp.plan(setup, link, Objective(halo=0)).run(link).latency
        offload = ways.sequential(setup, (), '').run(link).latency
        assert found <= min(ways.local(setup).run(link).latency, offload) + 1e-9


@pytest.mark.parametrize('head', [False, True])
def test_no_plan_is_worse_than_local_or_a_candidate_cut(head):
    setup = proportional(skipping(head))
    for bandwidth in BANDWIDTHS:
        link = Link(bandwidth, 1e-3)
        cuts = [0, *intra_dp.candidates(setup)]
        known = [ways.local(setup), *(ways.sequential(setup, range(n), '') for n in cuts)]
        plan = intra_dp.plan(setup, link, Objective())
        assert plan.exact
        assert plan.run(link).latency <= min(p.run(link).latency for p in known) + 1e-9


def test_latency_falls_with_bandwidth():
    setup = proportional(skipping(), edge=3e8)
    for halo in (None, 0, 4):
        times = [intra_dp.plan(setup, Link(b), Objective(halo=halo)).run(Link(b)).latency
                 for b in BANDWIDTHS]
        assert times == sorted(times, reverse=True)
        assert times[0] > times[-1]


def test_evolution_finds_what_the_grid_finds():
    setup, link = even(pointwise(3), 3.0, 2.0), Link(30.0)
    grid = intra_dp.plan(setup, link, Objective(halo=0)).run(link).latency
    found = intra_dp.evolved(setup, link, Objective(halo=0), starts=2, generations=10)
    assert found.run(link).latency <= 1.02 * grid


def test_cheapest_cuts_are_found():
    """The candidates are those that a scan over all sequential plans ranks first."""
    setup = proportional(skipping())
    link = Link(intra_dp.CANDIDATE_BANDWIDTH)
    count = len(setup.graph.operators)
    costs = {n: ways.sequential(setup, range(n), '').run(link).latency for n in range(1, count)}
    found = intra_dp.candidates(setup)
    assert len(found) == intra_dp.CANDIDATES
    assert sorted(costs[n] for n in found) == pytest.approx(sorted(costs.values())[:3])


def test_only_slices_without_halo_are_inexact():
    setup, link = even(skipping(), 3.0, 2.0), Link(300.0)
    published = intra_dp.published(setup, intra_dp.segments(setup.graph, [1, 3]))
    assert {plan.exact for plan in published} == {True, False}
    assert all(plan.exact == (plan.way != 'meeting') for plan in published)
    limited = intra_dp.plan(setup, link, Objective(halo=2))
    exact = intra_dp.plan(setup, link, Objective())
    assert exact.exact
    assert limited.exact or limited.way == 'meeting'
    assert {p.exact for p in intra_dp.recomputed(setup, [0, 0, *[1] * 99], 2)} == {True, False}


def test_without_geometry_shares_are_not_called_exact():
    setup = even(pointwise(), 3.0, 3.0)
    setup = replace(setup, device=replace(setup.device, has_geometry=False))
    for plan in intra_dp.recomputed(setup, [0, 1], None):
        assert plan.exact == (plan.way != 'meeting') == (not plan.note)


def cases():
    count = len(skipping().operators)
    for cuts in ([1], [2, 4], [1, 3, count - 1]):
        for of in product((0.0, 0.3, 0.5, 1.0), repeat=len(cuts)):
            if list(of) == sorted(of, reverse=True):
                yield cuts, (*of, 0.0)


def two_sides(engine, image, work):
    """Frames of device and edge that are fed and compute what `work` says, and nothing else."""
    graph = engine.graph
    inner = [t for t in work.slices if t != graph.input]
    device = engine.start(outputs=(), keep=inner)
    if end := work.device[graph.input]:
        device.feed(graph.input, 0, end, image[:, :, :end])
    edge = engine.start(given={t: work.slices[t] for t in inner})
    if graph.input in work.slices:
        a, b = work.slices[graph.input]
        edge.feed(graph.input, a, b, image[:, :, a:b])
    for tensor in inner:
        a, b = work.slices[tensor]
        device.compute(tensor, a, b)
        edge.feed(tensor, a, b, device.peek(tensor, a, b))
    return device, edge


@pytest.mark.parametrize('head', [False, True])
def test_rows_of_the_exact_variant_suffice(head):
    """What both sides are said to compute gives the whole model's output; no more is done."""
    graph = skipping(head)
    engine = Engine(graph, least_rows=[1] * len(graph.operators))
    image = torch.rand(1, 3, 64, 8, generator=torch.Generator().manual_seed(1))
    whole = engine.run(image)
    for cuts, by_segment in cases():
        work = recompute.work(graph, intra_dp.segments(graph, cuts), by_segment)
        device, edge = two_sides(engine, image, work)
        for found, true in zip(edge.outputs(), whole):
            assert (found - true).abs().max() <= 1e-5 * true.abs().max()
        assert device.rows_computed <= sum(work.device[o.output] for o in graph.operators)
        assert edge.rows_computed <= sum(graph.tensors[o.output].rows - work.edge[o.output]
                                         for o in graph.operators)


# Each example exports a network, which takes a good part of a second.
@settings(max_examples=20, deadline=None, derandomize=True,
          phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck))
@given(networks(), st.floats(0, 1), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_rows_suffice_on_random_networks(drawn, place, chosen):
    try:
        graph = capture(*drawn)
    except IntraDPError:
        assume(False)
    engine = Engine(graph, least_rows=[1] * len(graph.operators))
    count = len(graph.operators)
    segment = intra_dp.segments(graph, [int(place * count), count])
    work = recompute.work(graph, segment, (*sorted(chosen, reverse=True), 0.0))
    _, edge = two_sides(engine, drawn[1], work)
    for found, true in zip(edge.outputs(), engine.run(drawn[1])):
        assert (found - true).abs().max() <= 1e-5 * true.abs().max()


def test_a_halo_limit_takes_rows_away_and_a_wide_one_none():
    graph = skipping()
    segment = intra_dp.segments(graph, [len(graph.operators) - 1])
    exact, none, wide = (recompute.work(graph, segment, (0.5, 0.0), h) for h in (None, 0, 64))
    assert wide == exact
    assert sum(none.device) < sum(exact.device)
    assert sum(none.edge) > sum(exact.edge)
    for tensor, a, b in zip(graph.tensors, none.device, none.edge):
        if tensor.id not in (graph.input, *graph.outputs) and a:
            assert a == b == tensor.rows // 2


def test_exact_schedule_by_hand():
    """Shares 1/2 then 0: half of both tensors up, nothing recomputed without a halo."""
    setup = even(pointwise(), 8.0, 4.0, tensor_ratio=0.25)
    segment = intra_dp.segments(setup.graph, [1])
    work = recompute.work(setup.graph, segment, (0.5, 0.0))
    frame = simulate(*recompute.schedule(setup, segment, work), Link(8.0))
    assert frame.latency == pytest.approx(12 + 4 + 2)
    assert frame.sent('downlink') == 16
