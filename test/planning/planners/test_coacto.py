"""Tiles depend on what they need, and the online rule never costs more than a tile."""

import sys
from pathlib import Path

import pytest
import torch

from intradp_ros.planning import mesh, ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective
from intradp_ros.planning.planners import coacto
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.rows import boundaries

sys.path.insert(0, str(Path(__file__).parent))
from small import even, pointwise, proportional, skipping  # noqa: E402

BANDWIDTHS = (1e4, 3e5, 6e5, 1e6, 3e6, 3e7)


@pytest.mark.parametrize('count', [4, 16])
def test_a_tile_can_be_computed_from_the_tiles_it_needs(count):
    graph = skipping()
    setup = proportional(graph)
    tiles = mesh.tiles(setup, count)
    engine = Engine(graph, least_rows=[1] * len(graph.operators))
    image = torch.rand(1, 3, 64, 8, generator=torch.Generator().manual_seed(2))
    full = engine.start(outputs=(), keep=[t.id for t in graph.tensors if t.id != graph.input])
    full.feed(graph.input, 0, 64, image)

    def rows(tile):
        tensor = graph.tensor(tile.tensor)
        ends = boundaries(tensor.rows, count)
        return tensor, ends[tile.band], ends[tile.band + 1]

    inner = [t for t in tiles if t.needs and t.tensor != 'outputs']
    assert len({t.tensor for t in inner}) >= 3
    for tile in inner:
        target, a, b = rows(tile)
        source, *_ = rows(tiles[tile.needs[0]])
        span = rows(tiles[min(tile.needs)])[1], rows(tiles[max(tile.needs)])[2]
        frame = engine.start(outputs=(), keep=(target.id,), given={source.id: span})
        full.compute(target.id, a, b)
        if source.id == graph.input:
            data = image[:, :, span[0]:span[1]]
        else:
            full.compute(source.id, *span)
            data = full.peek(source.id, *span)
        frame.feed(source.id, *span, data)
        frame.compute(target.id, a, b)
        expected = full.peek(target.id, a, b)
        error = (frame.peek(target.id, a, b) - expected).abs().max()
        assert error <= 1e-5 * expected.abs().max()


def test_all_tiles_of_one_side_cost_what_the_whole_does():
    """In order nothing is computed twice, whichever end a side begins at; out of order it is."""
    setup = proportional(skipping())
    tiles = mesh.tiles(setup)
    assert sum(t.edge[0] for t in tiles) == pytest.approx(setup.edge.total)
    assert sum(t.device[0] for t in tiles) == pytest.approx(setup.device.total)
    assert sum(t.edge[1] for t in tiles) > 1.01 * setup.edge.total
    assert all(t.device[1] >= t.device[0] - 1e-12 and t.edge[1] >= t.edge[0] - 1e-12
               for t in tiles)


def one_tile(setup, tiles, link) -> float:
    """Seconds of the largest tile on every resource that it can pass through."""
    return max(max(t.device) for t in tiles) + max(max(t.edge) for t in tiles) \
        + link.arrival(0.0, max(t.size for t in tiles)) + link.round_trip


@pytest.mark.parametrize('head', [False, True])
@pytest.mark.parametrize('edge', [5e7, 1.2e8, 1e9])
def test_never_worse_than_local_or_offload_by_more_than_a_tile(head, edge):
    setup = proportional(skipping(head), edge=edge)
    tiles = mesh.tiles(setup)
    for bandwidth in BANDWIDTHS:
        link = Link(bandwidth, 1e-4)
        known = min(ways.local(setup).run(link).latency,
                    ways.sequential(setup, (), '').run(link).latency)
        found = coacto.plan(setup, link, Objective()).run(link).latency
        assert found <= known + one_tile(setup, tiles, link)


def test_a_device_that_is_nearly_as_fast_helps():
    """Behind a fast link two sides of equal speed are faster than either."""
    setup, link = proportional(skipping(), 1e8, 1.1e8), Link(1e9)
    plan = coacto.plan(setup, link, Objective())
    assert plan.exact
    assert plan.run(link).latency < 0.85 * min(setup.device.total, setup.edge.total)


def test_more_bandwidth_is_not_slower_by_more_than_a_tile():
    for edge in (1.2e8, 1e9):
        setup = proportional(skipping(), edge=edge)
        tiles, before = mesh.tiles(setup), float('inf')
        for bandwidth in BANDWIDTHS:
            link = Link(bandwidth)
            found = coacto.plan(setup, link, Objective()).run(link).latency
            assert found <= before + one_tile(setup, tiles, link)
            before = found


def test_dead_link_ends_with_the_local_result():
    setup = proportional(skipping())
    plan = coacto.plan(setup, Link(1e5), Objective())
    frame = plan.run(Link(1e5, steps=((0.0, 0.0),)))
    assert frame.latency == pytest.approx(setup.device.total)


def test_a_wrong_estimate_changes_what_is_sent_not_the_clock():
    """A link ten times slower than assumed: the frame ends near where a good plan would."""
    setup, real = proportional(skipping(), edge=1.2e8), Link(3e5)
    tiles = mesh.tiles(setup)
    wrong = coacto.plan(setup, Link(3e6), Objective()).run(real).latency
    known = min(ways.local(setup).run(real).latency,
                ways.sequential(setup, (), '').run(real).latency)
    assert wrong <= known + one_tile(setup, tiles, real)


def test_edge_alone_by_hand():
    """Two bands: 6 s each up, 2 s of each operator; the second band's four seconds come last."""
    setup, link = even(pointwise(), 1e3, 4.0), Link(8.0)
    frame = coacto.plan(setup, link, Objective(most_tiles=2)).run(link)
    assert frame.latency == pytest.approx(12 + 4 + 2)


def test_what_would_arrive_too_late_is_not_sent():
    """Where the link is the narrow place the edge has every tile before the device's arrives."""
    setup, link = proportional(skipping(), edge=1e9), Link(1e6)
    frame = coacto.plan(setup, link, Objective()).run(link)
    assert frame.latency < ways.local(setup).run(link).latency
    assert frame.sent('uplink') == pytest.approx(setup.input_bytes)


def test_rule_by_hand():
    """60 bytes queued at 10 bytes/s, one second of round trip: 20 bytes arrive at 3 + 8 + 0.5."""
    rule = coacto._Rule(Link(10.0, 1.0), {7: 11.4, 8: 11.6}, input_there=20.0)
    assert not rule.sends(3.0, 7, 20.0, 60.0, 60.0)
    assert rule.sends(3.0, 8, 20.0, 60.0, 60.0)
    # The input turns out two seconds late, and what is computed from it with it.
    rule = coacto._Rule(Link(10.0, 1.0), {7: 11.4}, input_there=7.5)
    assert rule.sends(3.0, 7, 20.0, 60.0, 60.0)
