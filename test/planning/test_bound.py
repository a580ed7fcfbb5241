"""The bounds: against every way at every bandwidth, against brute force, and by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from intradp_ros.errors import IntraDPError, ParameterError
from intradp_ros.model.capture import capture
from intradp_ros.model.graph import Need, rows_needed
from intradp_ros.planning import bound, geometry, ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Encoding, Objective, Setup
from intradp_ros.planning.planners import frontier
from intradp_ros.planning.profile import estimated
from intradp_ros.tiling.split import candidates

sys.path.insert(0, str(Path(__file__).parents[1] / 'tiling'))
from random_networks import networks  # noqa: E402

RELAXED = settings(max_examples=15, deadline=None, derandomize=True,
                   phases=(Phase.explicit, Phase.generate),
                   suppress_health_check=list(HealthCheck))


def chain(*layers, size=(32, 24)):
    """Capture a sequence of layers."""
    module = torch.nn.Sequential(*layers).eval()
    return capture(module, torch.rand(1, 3, *size))


def captured(network, image):
    """Capture, or None for a network that cannot be."""
    try:
        return capture(network, image)
    except IntraDPError:
        return None


def setup_of(graph, speedup=8.0, **encoding):
    """Make a setup with an edge that is `speedup` times as fast."""
    device = estimated(graph, 2e8, call_seconds=2e-5, elements_per_second=2e7)
    return Setup(device, device.scaled(1 / speedup), Encoding(**encoding))


def all_plans(setup):
    """Every way at every candidate, with and without a hedge."""
    graph = setup.graph
    yield ways.local(setup)
    yield ways.sequential(setup, (), 'offload')
    for count in range(1, len(graph.operators)):
        yield ways.sequential(setup, range(count), 'cut')
    for tiles in (1, 3, 8):
        for hedge in (False, True):
            yield ways.streamed(setup, graph.input, tiles, 'offload', hedge)
            for tensor in candidates(graph):
                yield ways.streamed(setup, tensor.id, tiles, 'cut', hedge)
                yield ways.meeting(setup, tensor.id, tiles, 'meeting', hedge)


@RELAXED
@given(networks(), st.floats(3e4, 3e7), st.floats(1.0, 30.0), st.sampled_from([0.0, 1e-3]),
       st.sampled_from([0.0, 2e-8]))
def test_no_plan_is_faster_than_its_bound(drawn, bandwidth, speedup, round_trip, code):
    graph = captured(*drawn)
    if graph is None:
        return
    setup = setup_of(graph, speedup, encode=code, decode=code)
    link = Link(bandwidth, round_trip, message_seconds=1e-4)
    limits = bound.Limits(setup)
    whole, shared = limits.exact(link), limits.exact(link, shared_outputs=True)
    assert limits.limited_halo(link) <= shared * (1 + 1e-6)
    assert shared <= whole * (1 + 1e-6)
    for plan in all_plans(setup):
        assert plan.run(link).latency >= whole * (1 - 1e-6), plan


@RELAXED
@given(networks())
def test_more_of_anything_never_raises_the_bound(drawn):
    graph = captured(*drawn)
    if graph is None:
        return
    setup = setup_of(graph)
    found = [bound.exact(setup, Link(b)) for b in (1e5, 3e5, 1e6, 1e7)]
    assert all(a >= b * (1 - 1e-6) for a, b in zip(found, found[1:]))
    faster = replace(setup, edge=setup.edge.scaled(0.5))
    assert bound.exact(faster, Link(3e5)) <= found[1] * (1 + 1e-6)


def test_one_local_operator_by_hand():
    # A pointwise convolution: no halo. Outputs stay on one side: local inference, or all raw rows
    # cross; the last row to arrive has one row of work after it.
    graph = chain(torch.nn.Conv2d(3, 8, 1))
    setup = setup_of(graph, 10.0)
    setup = replace(setup, device=replace(setup.device, result_bytes=0),
                    edge=replace(setup.edge, result_bytes=0))
    limits = bound.Limits(setup)
    D = limits.local
    C = setup.input_bytes / 1e6
    tail = setup.edge.seconds[0].least_per_row
    expected = min(D, max(C + tail, D / 10))
    assert limits.exact(Link(1e6)) == pytest.approx(expected, rel=1e-6)
    # With a share on each side device and link work in parallel: D C / (D + C).
    assert limits.limited_halo(Link(1e6)) == pytest.approx(D * C / (D + C), rel=1e-6)


def test_streamed_cut_at_a_bottleneck_by_hand():
    # The second operator is global: all of its input has to be there, so nothing but where the
    # cut lies is free, and the narrow tensor is far smaller than the input.
    graph = chain(torch.nn.Conv2d(3, 1, 4, 4), torch.nn.AdaptiveAvgPool2d(1), size=(64, 64))
    setup = setup_of(graph, 10.0)
    setup = replace(setup, device=replace(setup.device, result_bytes=0))
    limits = bound.Limits(setup)
    link = Link(1e4)
    narrow = setup.tensor_bytes(graph.operators[0].output) / 1e4
    assert narrow < setup.input_bytes / 1e4 / 8
    # The device has all of the model in far less time than the narrow tensor takes to cross.
    assert limits.exact(link) == pytest.approx(limits.local)


@pytest.mark.parametrize('need,rows', [
    (Need.same(7), 7), (Need.all(5, 9), 9), (Need.windows(12, 12, 3, 1, 1), 12),
    (Need.windows(6, 12, 3, 2, 1), 12), (Need.windows(6, 12, 1, 2, 0), 12),
    (Need(tuple(r // 2 for r in range(10)), tuple(r // 2 + 1 for r in range(10))), 5)])
def test_least_ratio_against_all_sets_of_rows(need, rows):
    outputs = len(need.first)
    ratios = []
    for mask in range(1, 1 << outputs):
        chosen = [r for r in range(outputs) if mask >> r & 1]
        needed = set().union(*(range(need.first[r], need.last[r]) for r in chosen))
        ratios.append(len(needed) / rows / (len(chosen) / outputs))
    assert geometry.least_ratio(need, rows) == pytest.approx(min(ratios))


@RELAXED
@given(networks())
def test_fields_and_costs_against_the_graph(drawn):
    graph = captured(*drawn)
    if graph is None:
        return
    operators = graph.operators
    rows = np.array([graph.tensors[o.output].rows for o in operators])
    costs = geometry.device_costs(graph, np.ones(len(operators)))
    for target in operators:
        spans = {p.id: [rows_needed(graph, target.output, r, r + 1, p.output)
                        for r in range(rows[target.id])] for p in operators[:target.id]}
        least = min(1 + sum(s[r][1] - s[r][0] for s in spans.values())
                    for r in range(rows[target.id]))
        assert costs[target.id] == least
        lines = geometry.receptive_fields(graph, target.id)
        for p, (least_share, slope) in lines.items():
            for a in range(rows[target.id]):
                for b in range(a + 1, rows[target.id] + 1):
                    low, high = rows_needed(graph, target.output, a, b, operators[p].output)
                    line = least_share + slope * (b - a) / rows[target.id]
                    assert (high - low) / rows[p] >= line - 1e-9


def test_trace_is_refused():
    graph = chain(torch.nn.Conv2d(3, 8, 3, padding=1))
    with pytest.raises(ParameterError, match='constant'):
        bound.exact(setup_of(graph), Link(1e6, steps=((0.0, 1e6),)))


@RELAXED
@given(networks(), st.floats(3e4, 3e7), st.floats(1.0, 30.0))
def test_frontier_is_the_best_of_all_ways(drawn, bandwidth, speedup):
    graph = captured(*drawn)
    if graph is None:
        return
    setup, link = setup_of(graph, speedup), Link(bandwidth, 1e-3)
    mine = frontier.plan(setup, link, Objective()).run(link).latency
    small = [t.id for t in candidates(graph) if setup.tensor_bytes(t.id) < setup.input_bytes]
    others = [ways.local(setup)] + [
        ways.streamed(setup, merge, tiles, 'other') for tiles in (1, 4, 8)
        for merge in (graph.input, *small)]
    best = min(plan.run(link).latency for plan in others)
    assert mine <= best * (1 + frontier.TOLERANCE) + 1e-12


def test_frontier_on_a_dead_link_is_local_inference():
    graph = chain(torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.Conv2d(8, 2, 3, 4, 1),
                  torch.nn.Conv2d(2, 16, 3, padding=1), size=(64, 64))
    setup = setup_of(graph)
    dead = Link(0.0, steps=((0.0, 0.0),))
    for bandwidth in (1e5, 1e6, 1e8):
        plan = frontier.plan(setup, Link(bandwidth), Objective())
        alone = ways.local(setup).run(dead).latency
        # In bands an operator is called more often, which this profile charges for, and rows that
        # no output depends on are left out.
        assert 0.8 * alone <= plan.run(dead).latency <= 1.5 * alone


def test_frontier_table_agrees_with_planning():
    graph = chain(torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.Conv2d(8, 2, 3, 4, 1),
                  torch.nn.Conv2d(2, 16, 3, padding=1), size=(64, 64))
    setup, objective = setup_of(graph), Objective()
    table = frontier.prepare(setup, objective)
    assert table.decide(Link(1.0), objective) is table.plans[0]
    assert table.decide(Link(1e15), objective) is table.plans[-1]
    for bandwidth in table.bandwidths:
        link = Link(bandwidth * 1.1)
        ours = table.decide(link, objective).run(link).latency
        best = frontier.plan(setup, link, objective).run(link).latency
        assert ours <= best * 1.1


def test_dividing_with_a_limited_halo():
    graph = chain(torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.Conv2d(8, 16, 3, padding=1),
                  size=(64, 64))
    setup, link = setup_of(graph), Link(3e5)
    plan = ways.divided(setup, 0.5, 8, 4, 'frontier')
    assert not plan.exact
    frame = plan.run(link)
    # Half of the rows and 8 of 64 more on either side.
    assert frame.sent('uplink') == pytest.approx(setup.input_bytes * 0.625)
    staircases = zip(setup.device.seconds, graph.operators)
    assert frame.busy('device') == pytest.approx(
        sum(s(round(0.625 * graph.tensors[o.output].rows)) for s, o in staircases))
    assert frame.latency >= bound.limited_halo(setup, link)
    exact = frontier.plan(setup, link, Objective())
    limited = frontier.plan(setup, link, Objective(halo=8))
    assert exact.exact
    assert limited.run(link).latency <= exact.run(link).latency * (1 + frontier.TOLERANCE)
