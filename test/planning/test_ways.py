"""The ways to run a frame: what is sent, what is computed, and how they relate to each other."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intradp_ros.model.graph import rows_needed
from intradp_ros.planning import bands, ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Encoding, Objective, Setup, best, cost
from intradp_ros.planning.planners import frontier
from intradp_ros.tiling.rows import boundaries

BANDWIDTHS = (1e4, 3e5, 1e6, 3e6, 1e7, 5e7, 1e9)


def links():
    return [Link(b, round_trip=4e-3, message_seconds=1e-4) for b in BANDWIDTHS]


def merges(setup):
    """The input, and a few tensors that everything passes through."""
    found = setup.graph.merge_candidates()
    return [found[0].id, *(t.id for t in found[1::max(1, len(found) // 4)])]


def sent(setup, frame, name):
    """Bytes that went up in tasks whose label begins with a word."""
    return sum(frame.tasks[s.task].size for s in frame.spans
               if frame.tasks[s.task].resource == 'uplink'
               and frame.tasks[s.task].label.startswith(name))


def test_local_is_the_device_alone(demo_setup):
    frame = ways.local(demo_setup).run(Link(1))
    device = demo_setup.device
    assert frame.latency == pytest.approx(device.before + device.total + device.after)
    assert frame.busy('device') == pytest.approx(frame.latency)
    assert frame.sent('uplink') == frame.sent('downlink') == 0


@pytest.mark.parametrize('factor', [0.5, 3.0])
def test_a_slow_device_is_a_fast_link_and_edge_in_its_own_time(demo_setup, factor):
    device, edge = demo_setup.device, demo_setup.edge
    slow = Setup(device.scaled(factor), edge)
    own = Setup(device, edge.scaled(1 / factor))
    costly = Link(3e6, 4e-3, 2e-3, down=1e6, message_compute=3e-3, message_idle=1e-3)
    trace = Link(0, 4e-3, steps=((0.0, 1e6), (0.05, 0.0), (0.1, 5e6)))
    for link in (*links(), costly, trace):
        for merge in merges(demo_setup):
            there = ways.streamed(slow, merge, 6, 'x', hedge=True).run(link)
            here = ways.streamed(own, merge, 6, 'x', hedge=True).run(link.faster(factor))
            assert factor * here.latency == pytest.approx(there.latency)
            assert factor * here.busy('device') == pytest.approx(there.busy('device'))


def test_with_one_tile_a_streamed_way_is_the_sequential_one(demo_setup):
    for merge in merges(demo_setup):
        head = {o.id for o in demo_setup.graph.ancestors([merge])}
        for link in links():
            streamed = ways.streamed(demo_setup, merge, 1, 'x').run(link)
            cut = ways.sequential(demo_setup, head, 'x').run(link)
            assert streamed.latency == pytest.approx(cut.latency)
            for resource in ('device', 'uplink', 'edge', 'downlink'):
                assert streamed.busy(resource) == pytest.approx(cut.busy(resource))


def test_offload_is_the_sum_of_its_stages(demo_setup):
    setup = dataclasses.replace(demo_setup, encoding=Encoding('x', 0.5, 1e-9, 2e-9))
    link = Link(1e6, round_trip=0.01)
    pixels = 640 * 480 * 3
    assert ways.sequential(setup, (), 'x').run(link).latency == pytest.approx(
        setup.device.before + 1e-9 * pixels + 0.5 * pixels / 1e6 + 2e-9 * pixels
        + setup.edge.total + setup.edge.after + setup.device.result_bytes / 1e6 + 0.01)


def test_a_stream_sends_the_same_bytes_and_is_bounded_by_each_stage(demo_setup):
    for merge in merges(demo_setup):
        for link in links():
            one, many = (ways.streamed(demo_setup, merge, n, 'x').run(link) for n in (1, 8))
            assert many.sent('uplink') == pytest.approx(one.sent('uplink'))
            assert many.sent('uplink') == pytest.approx(demo_setup.tensor_bytes(merge))
            # At best all stages overlap, at worst none, but for the cost of more calls.
            assert many.latency >= max(many.busy(r) for r in ('device', 'uplink', 'edge'))
            assert many.latency <= sum(many.busy(r) for r in (
                'device', 'uplink', 'edge', 'downlink')) + link.round_trip + 1e-9


def test_streaming_pays_where_two_stages_take_long(demo_setup):
    merge = demo_setup.graph.input
    link = Link(demo_setup.input_bytes / demo_setup.edge.total)
    one, many = (ways.streamed(demo_setup, merge, n, 'x').run(link).latency for n in (1, 8))
    assert many < 0.75 * one


def test_meeting_covers_every_row_with_what_it_needs_and_no_more(demo_setup):
    graph = demo_setup.graph
    source, found = graph.tensors[graph.input], set()
    for merge in merges(demo_setup)[1:]:
        rows = graph.tensors[merge].rows
        for tiles in (1, 5, 16):
            plan = ways.meeting(demo_setup, merge, tiles, 'x')
            ends = boundaries(rows, tiles)
            for link in links():
                tasks, _ = plan.script(link)
                on = [t for t in tasks if t.resource == 'uplink']
                upper = [int(t.label.split()[1]) for t in on if t.label.startswith('band')]
                raw = [int(t.label.split()[1]) for t in on if t.label.startswith('raw')]
                met = len(upper)
                found.add(met * 2 // max(1, len(ends) - 1))
                assert upper == list(range(met))
                assert raw[::-1] == list(range(met, len(ends) - 1))
                begin = source.rows if not raw else \
                    rows_needed(graph, merge, ends[met], rows)[0]
                frame = plan.run(link)
                assert sent(demo_setup, frame, 'band') == pytest.approx(
                    demo_setup.tensor_bytes(merge) * ends[met] / rows)
                assert sent(demo_setup, frame, 'raw') == pytest.approx(
                    demo_setup.input_bytes * (source.rows - begin) / source.rows)
    # The cases are worth something: bands from one side only, and from both.
    assert found == {0, 1, 2}


def test_on_a_dead_link_a_hedge_is_local_inference(demo_setup):
    dead = Link(0, steps=((0, 0),))
    local = ways.local(demo_setup).run(dead).latency
    offload = ways.streamed(demo_setup, demo_setup.graph.input, 8, 'x', hedge=True)
    assert offload.run(dead).latency == pytest.approx(local)
    for merge in merges(demo_setup)[1:]:
        for plan in (ways.streamed(demo_setup, merge, 8, 'x', hedge=True),
                     ways.meeting(demo_setup, merge, 8, 'x', hedge=True)):
            frame = plan.run(dead)
            # Later only by the calls that bands cost.
            device = sum(bands.computed(demo_setup.device, merge, boundaries(
                demo_setup.graph.tensors[merge].rows, 8)))
            head = demo_setup.device.of([o.id for o in demo_setup.graph.ancestors([merge])])
            assert local <= frame.latency + 1e-9
            assert frame.latency <= local + device - head + 1e-9


def test_where_a_hedge_is_asked_for_no_plan_delays_the_local_result(demo_setup):
    """By more than 10 %, on a link that dies at once; among those left are still all ways."""
    dead, link, asked = Link(0, steps=((0, 0),)), Link(1e7), Objective(hedge=True)
    latest = 1.1 * ways.local(demo_setup).run(dead).latency
    slow_calls = dataclasses.replace(demo_setup.device, band_call=2e-4)
    demo_setup = dataclasses.replace(demo_setup, device=slow_calls)
    free = frontier.plans(demo_setup, asked)
    assert any(plan.run(dead).latency > latest for plan in free)
    kept = frontier.prompt(demo_setup, free, link, asked)
    assert all(plan.run(dead).latency <= latest for plan in kept)
    assert {plan.way for plan in kept} == {plan.way for plan in free}
    assert frontier.prompt(demo_setup, free, link, Objective()) == free
    # With one core for both, messages delay it too: only those that send little are left.
    local = ways.local(demo_setup).run(dead).latency
    shared = dataclasses.replace(link, message_compute=local / 40)
    for plan in frontier.prompt(demo_setup, free, shared, asked):
        assert plan.run(link).sent('uplink') <= 4 * link.message_bytes


def test_a_hedge_is_never_later_and_never_saves_energy(demo_setup):
    """Bands go first, so the hedge takes what is left of the device."""
    power = demo_setup.device.power
    for merge in merges(demo_setup):
        for link in links():
            plain, hedged = (ways.streamed(demo_setup, merge, 8, 'x', hedge=h).run(link)
                             for h in (False, True))
            assert hedged.latency <= plain.latency + 1e-9
            if hedged.latency == plain.latency:
                assert hedged.energy(power) >= plain.energy(power)


@settings(max_examples=40, deadline=None)
@given(st.floats(1e4, 1e8), st.floats(1, 10), st.integers(0, 3), st.sampled_from([1, 3, 8]))
def test_more_bandwidth_is_never_slower_on_the_same_tasks(demo_setup, bandwidth, factor, number,
                                                          tiles):
    merge = merges(demo_setup)[number]
    plan = ways.streamed(demo_setup, merge, tiles, 'x', hedge=tiles == 3)
    slow, fast = Link(bandwidth, 2e-3), Link(bandwidth * factor, 2e-3)
    assert plan.run(fast).latency <= plan.run(slow).latency + 1e-12


@settings(max_examples=20, deadline=None)
@given(st.floats(1e4, 1e8), st.floats(1, 10), st.integers(0, 3), st.sampled_from([1, 8]))
def test_a_faster_server_is_never_slower_on_the_same_tasks(demo_setup, bandwidth, factor, number,
                                                           tiles):
    merge, link = merges(demo_setup)[number], Link(bandwidth, 2e-3)
    fast = Setup(demo_setup.device, demo_setup.edge.scaled(1 / factor))
    assert ways.streamed(fast, merge, tiles, 'x').run(link).latency <= \
        ways.streamed(demo_setup, merge, tiles, 'x').run(link).latency + 1e-12


def test_objectives_choose_what_they_are_for(demo_setup):
    plans = [ways.local(demo_setup), ways.sequential(demo_setup, (), 'offload'),
             ways.streamed(demo_setup, demo_setup.graph.input, 8, 'stream', hedge=True)]
    link = Link(5e6)
    figures = {p.planner: (f.latency, f.energy(demo_setup.device.power))
               for p in plans for f in [p.run(link)]}

    def chosen(**options):
        return best(demo_setup, plans, link, Objective(**options)).planner
    assert chosen() == min(figures, key=lambda n: figures[n][0])
    cheapest = min(figures, key=lambda n: figures[n][1])
    assert chosen(goal='energy') == cheapest
    assert chosen(goal='deadline', deadline=1.0) == cheapest
    assert chosen(goal='deadline', deadline=1e-9) == chosen()
    cap = 1.0001 * min(joules for _, joules in figures.values())
    assert chosen(energy_cap=cap) == cheapest
    assert cost(demo_setup, plans[0], link, Objective('throughput'))[1] == pytest.approx(
        demo_setup.device.before + demo_setup.device.total + demo_setup.device.after)


@pytest.mark.parametrize('share', [0.01, 0.3, 0.5, 0.99])
@pytest.mark.parametrize('tiles', [2, 5])
def test_a_fixed_split_sends_its_share_on_every_link(demo_setup, share, tiles):
    graph = demo_setup.graph
    for merge in merges(demo_setup)[1:]:
        rows = graph.tensors[merge].rows
        plan = ways.split(demo_setup, merge, share, tiles, 'x')
        own = round(plan.device_share * rows)
        assert 0 < own < rows and abs(own - share * rows) <= 1
        begin = rows_needed(graph, merge, own, rows)[0]
        height = graph.tensors[graph.input].rows
        for link in links():
            frame = plan.run(link)
            assert sent(demo_setup, frame, 'band') == pytest.approx(
                demo_setup.tensor_bytes(merge) * own / rows)
            assert sent(demo_setup, frame, 'raw') == pytest.approx(
                demo_setup.input_bytes * (height - begin) / height)


def test_only_tensors_smaller_than_all_before_are_met_at(demo_setup):
    found = frontier.merge_tensors(demo_setup, Objective())
    sizes = [demo_setup.tensor_bytes(t.id) for t in found]
    everything = frontier.merge_tensors(demo_setup, Objective('energy'))
    assert sizes == sorted(set(sizes), reverse=True) and sizes[0] < demo_setup.input_bytes
    assert 0 < len(found) < len(everything)
    # An edge slower than the device may gain by a later one.
    slow = dataclasses.replace(demo_setup, edge=demo_setup.device.scaled(2.0))
    assert frontier.merge_tensors(slow, Objective()) == everything
    link = Link(5e6, 0.004)
    best = min(ways.streamed(demo_setup, t.id, 4, 'x').run(link).latency for t in everything)
    assert best == min(ways.streamed(demo_setup, t.id, 4, 'x').run(link).latency for t in found)
