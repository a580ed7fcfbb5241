"""What bands are said to cost, against the steps that the engine's wavefront takes for them."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from intradp_ros.errors import IntraDPError
from intradp_ros.model import registry
from intradp_ros.model.capture import capture
from intradp_ros.planning import bands
from intradp_ros.planning.profile import estimated
from intradp_ros.tiling.engine import least_heights
from intradp_ros.tiling.rows import boundaries
from intradp_ros.tiling.wavefront import Planner

sys.path.insert(0, str(Path(__file__).parents[1] / 'tiling'))
from random_networks import networks  # noqa: E402

# Each example exports a network, which takes a good part of a second.
RELAXED = settings(max_examples=25, deadline=None, derandomize=True,
                   phases=(Phase.explicit, Phase.generate),
                   suppress_health_check=list(HealthCheck))
WAYS = ('computed', 'computed_from_below', 'resumed', 'resumed_from_below')


def counted(graph, way, tensor, ends, least=()):
    """Rows of each operator in each band, as bands.py counts them."""
    calls = []
    profile = estimated(graph, 1e9)
    profile = replace(profile, seconds=tuple(
        lambda rows, i=o.id: calls.append((i, rows)) or float(rows) for o in graph.operators),
        least_rows=tuple(least))
    seconds = bands.resumed if way.startswith('resumed') else bands.computed
    costs = seconds(profile, tensor, ends, from_below=way.endswith('from_below'))
    each = len(calls) // len(costs)
    found = []
    for number, cost in enumerate(costs):
        band = calls[number * each:(number + 1) * each]
        assert cost == sum(rows for _, rows in band)
        found.append(Counter({i: rows for i, rows in band if rows}))
    return found


def stepped(graph, way, tensor, ends, least=()):
    """Rows of each operator in each band, as the engine's wavefront computes them."""
    planner = Planner(graph, least or [1] * len(graph.operators))

    def whole(*tensors):
        return {t: ((0, graph.tensors[t].rows),) for t in tensors}

    if way.startswith('resumed'):
        expected = {} if tensor == graph.input else whole(tensor)
        state = planner.start(whole(*graph.outputs), whole(*graph.outputs), expected)
        go = planner.feed
    else:
        state = planner.start({}, whole(tensor), {})
        *_, state = planner.feed(state, graph.input, 0, graph.tensors[graph.input].rows)
        go = planner.compute
    found = []
    for a, b in zip(ends, ends[1:]):
        _, steps, _, state = go(state, tensor, min(a, b), max(a, b))
        found.append(Counter())
        for step in steps:
            found[-1][step.operator] += step.b - step.a
    return found


def ends_of(graph, way, tensor, count):
    ends = boundaries(graph.tensors[tensor].rows, count)
    return ends[::-1] if way.endswith('below') else ends


def cases(graph):
    """All ways at all merge candidates."""
    return [(way, tensor.id) for way in WAYS for tensor in graph.merge_candidates()
            if way.startswith('resumed') or tensor.id != graph.input]


def reads_all(graph):
    """Whether every operator reads all rows of its inputs and every row of it reads some."""
    return all(
        need.first[0] == 0 and need.last[-1] == graph.tensors[i].rows and not need.without
        and all(a <= b for a, b in zip(need.first[1:], need.last))
        for o in graph.operators for i, need in zip(o.inputs, o.needs))


@RELAXED
@given(networks(), st.integers(1, 5))
def test_bands_are_what_the_engine_computes(drawn, count):
    try:
        graph = capture(*drawn)
    except IntraDPError:
        assume(False)
    for way, tensor in cases(graph):
        ends = ends_of(graph, way, tensor, count)
        ours, engines = counted(graph, way, tensor, ends), stepped(graph, way, tensor, ends)
        if reads_all(graph):
            assert ours == engines, way
        else:
            # Rows that nobody reads are counted though the engine leaves them out, never fewer.
            assert sum(ours, Counter()) >= sum(engines, Counter()), way


@pytest.mark.parametrize('name', ['mobilenet_v2', 'efficientnet_b0', 'resnet18'])
def test_bands_of_real_networks(name):
    entry = registry.build(name, (96, 128))
    graph = capture(entry.module, registry.random_image((96, 128), 0))
    tensors = graph.merge_candidates()
    for way, tensor in [(w, t.id) for w in WAYS for t in (tensors[1], tensors[len(tensors) // 2],
                                                          tensors[-3])]:
        for count in (1, 3, 8):
            ends = ends_of(graph, way, tensor, count)
            for least in ((), least_heights(graph, 'cpu')):
                assert counted(graph, way, tensor, ends, least) == \
                    stepped(graph, way, tensor, ends, least), (way, tensor, count)


def test_two_wavefronts_compute_every_row_once():
    entry = registry.build('mobilenet_v2', (96, 128))
    graph = capture(entry.module, registry.random_image((96, 128), 0))
    profile = estimated(graph, 1e9)
    rows = Counter({o.id: graph.tensors[o.output].rows for o in graph.operators})
    for tensor in graph.merge_candidates()[1:-2]:
        head = {o.id for o in graph.ancestors([tensor.id])}
        ends = boundaries(tensor.rows, 4)
        above = bands.reached(profile, tensor.id, ends)
        for met in range(len(ends)):
            state = Planner(graph, [1] * len(graph.operators)).start(
                {t: ((0, graph.tensors[t].rows),) for t in graph.outputs},
                {}, {tensor.id: ((0, tensor.rows),)})
            planner, steps = Planner(graph, [1] * len(graph.operators)), Counter()
            order = [*zip(ends[:met], ends[1:met + 1]),
                     *reversed([*zip(ends[met:], ends[met + 1:])])]
            for a, b in order[:-1]:
                _, runs, _, state = planner.feed(state, tensor.id, a, b)
                for run in runs:
                    steps[run.operator] += run.b - run.a
            # Up to the last band, which closes the gap, both wavefronts are apart.
            last = met if met < len(ends) - 1 else met - 1
            below = bands.reached(profile, tensor.id, ends[::-1], True)[len(ends) - 2 - last]
            top = above[met] if met < len(ends) - 1 else above[met - 1]
            assert all(steps[o] == (0 if o in head else top[graph.operators[o].output]
                                    + below[graph.operators[o].output]) for o in rows), met
        assert len(bands.left_between(profile, tensor.id, ends)) == len(ends)


def test_what_is_remembered_is_of_the_right_profile(demo_setup):
    graph, device = demo_setup.graph, demo_setup.device
    tensor = graph.merge_candidates()[2]
    ends = boundaries(tensor.rows, 4)

    def asked(profile):
        return [bands.computed(profile, tensor.id, ends),
                bands.computed(profile, tensor.id, ends[::-1], from_below=True),
                bands.resumed(profile, tensor.id, ends),
                bands.resumed(profile, tensor.id, ends, complete=False),
                bands.left_between(profile, tensor.id, ends)]

    def alone(profile):
        """Of a profile of its own that nobody has asked yet."""
        return asked(replace(profile))
    first = asked(device)
    first[0][0] = 99.0
    assert asked(device) == alone(device) != first
    for profile in (device.scaled(0.1), device.scaled(0.1).scaled(3.0),
                    replace(device.scaled(2.0), band_call=1e-3),
                    replace(device, least_rows=(50,) * len(graph.operators)).scaled(0.5)):
        for remembered, computed in zip(asked(profile), alone(profile)):
            assert remembered == pytest.approx(computed)
    assert asked(device.scaled(2.0)) != asked(device)
