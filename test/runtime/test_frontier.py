"""Where device and edge meet, every band has gone to one side, once, whoever is faster."""

import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.model.graph import rows_needed
from intradp_ros.runtime.frontier import Frontier, Layout, layout
from intradp_ros.runtime.local import STEPS, finish, stages
from intradp_ros.tiling import split
from intradp_ros.tiling.engine import Engine


def free(count):
    return Layout(1, tuple(range(count + 1)), tuple(range(count + 1)), count, 0)


@given(st.integers(1, 20), st.lists(st.booleans(), max_size=60))
def test_every_band_is_taken_once_in_any_order_of_turns(count, turns):
    frontier, device, edge = Frontier(free(count)), [], []
    for is_device in [*turns, *[True] * count]:
        band = frontier.take_top() if is_device else frontier.take_bottom()
        if band is not None:
            (device if is_device else edge).append(band)
    assert device == list(range(len(device)))
    assert edge == list(range(count - 1, len(device) - 1, -1))
    assert frontier.left == 0
    assert (frontier.device_rows, frontier.edge_rows) == (len(device), len(edge))


def take_all(one, taken, chance):
    while (band := one()) is not None:
        taken.append(band)
        if chance.random() < 0.3:
            threading.Event().wait(1e-4)


def test_two_threads_never_take_the_same_band():
    for seed in range(50):
        frontier, taken = Frontier(free(40)), []
        threads = [threading.Thread(target=take_all, args=(one, taken, random.Random(seed)))
                   for one in (frontier.take_top, frontier.take_bottom)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == list(range(40))


@pytest.mark.parametrize('share', [0.0, 0.3, 1.0])
def test_a_fixed_share_is_not_crossed(detector, share):
    chosen = split.at(detector.graph, '', share)
    plan = layout(detector.graph, chosen, 8, False)
    frontier = Frontier(plan)
    while frontier.take_bottom() is not None:
        pass
    while frontier.take_top() is not None:
        pass
    assert frontier.left == 0 and frontier.device_rows == chosen.device_rows


@pytest.mark.parametrize('tiles', [1, 2, 7, 64])
@pytest.mark.parametrize('meeting', [False, True])
def test_raw_rows_of_the_edges_bands_suffice(detector, tiles, meeting):
    graph = detector.graph
    chosen = split.at(graph, 'backbone.features.0.3.add_1', 0.5)
    plan = layout(graph, chosen, tiles, meeting)
    rows = graph.tensors[plan.merge].rows
    assert plan.ends[0] == 0 and plan.ends[-1] == rows and plan.raw[-1] == 320
    assert list(plan.ends) == sorted(set(plan.ends))
    assert meeting or chosen.device_rows in plan.ends
    for number, a in enumerate(plan.ends[:-1]):
        assert plan.raw[number] == rows_needed(graph, plan.merge, a, rows)[0]
        begin, end = plan.raw_band(number)
        assert begin <= end


def test_stages_are_small_and_end_in_the_whole_models_outputs(detector, photograph):
    graph, engine = detector.graph, Engine(detector.graph)
    pixels, _ = detector.preprocess(photograph)
    frame = engine.start()
    frame.feed(graph.input, 0, len(pixels), pixels)
    whole, once = frame.outputs(), frame.rows_computed
    rest = stages(graph, graph.input)
    assert set(rest) & set(graph.outputs)  # which are not needed by anything else
    assert STEPS / 2 <= len(rest) <= STEPS + 1
    frame = engine.start(outputs=(), keep=graph.outputs)
    frame.feed(graph.input, 0, len(pixels), pixels)
    steps = sum(1 for _ in finish(frame, None, rest))
    assert steps == len(rest) + 1
    assert frame.rows_computed == once
    for ours, theirs in zip(frame.outputs(), whole):
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_a_finish_after_bands_computes_no_row_twice(detector, photograph):
    graph, engine = detector.graph, Engine(detector.graph)
    pixels, _ = detector.preprocess(photograph)
    chosen = split.at(graph, '', 0.5)
    plan = layout(graph, chosen, 6, True)
    keep = (*graph.outputs, chosen.merge)
    counts = []
    for bands in (0, 4):
        frame = engine.start(outputs=(), keep=keep)
        frame.feed(graph.input, 0, len(pixels), pixels)
        for number in range(bands):
            frame.compute(chosen.merge, *plan.band(number))
        for _ in finish(frame, plan, stages(graph, chosen.merge)):
            pass
        counts.append(frame.rows_computed)
    assert counts[0] == counts[1]
