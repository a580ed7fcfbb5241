"""Random networks in random bands: equal to the module, no row twice, nothing left behind."""

import logging
from collections import defaultdict

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_networks import activation, combination, convolution, networks, pooling

from intradp_ros.model.capture import capture
from intradp_ros.model.graph import rows_needed
from intradp_ros.tiling.engine import Engine

# Pytest would keep every line of torch's trace log: thousands a network.
logging.getLogger('torch.__trace').propagate = False
# Each example exports a network, which takes a good part of a second: few, and none to shrink.
RELAXED = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def close(found, expected):
    assert found.shape == expected.shape
    worst = (found - expected).abs().max() / expected.abs().max().clamp_min(1e-3)
    return worst.item() <= 1e-5 or f'relative error {worst:.1e}'


@st.composite
def feeding(draw, rows):
    """Draw bands that cover all rows, in some order, with overlaps."""
    count = draw(st.integers(1, min(6, rows)))
    cuts = draw(st.sets(st.integers(1, max(1, rows - 1)), max_size=count))
    places = [0, *sorted(c for c in cuts if c < rows), rows]
    bands = [(max(0, a - draw(st.integers(0, 2))), b) for a, b in zip(places, places[1:])]
    return draw(st.permutations(bands))


def recorded(engine):
    """Note which rows each operator computes."""
    computed = defaultdict(list)

    def wrap(number, kernel):
        def run(bands, a, b):
            computed[number].append((a, b))
            return kernel(bands, a, b)

        return run

    engine.kernels = [wrap(n, k) for n, k in enumerate(engine.kernels)]
    return computed


@RELAXED
@given(networks(), st.data())
def test_bands_give_the_whole(drawn, data):
    network, image = drawn
    with torch.inference_mode():
        expected = network(image)
    graph = capture(network, image)
    engine = Engine(graph, least_rows=[data.draw(st.integers(1, 4))] * len(graph.operators))
    computed = recorded(engine)
    for found, wanted in zip(engine.run(image), expected):
        assert close(found, wanted) is True
    computed.clear()
    frame = engine.start()
    for a, b in data.draw(feeding(image.shape[2])):
        frame.feed(graph.input, a, b, image[:, :, a:b])
    for found, wanted in zip(frame.outputs(), expected):
        assert close(found, wanted) is True
    for bands in computed.values():
        bands.sort()
        assert all(b <= c for (_, b), (c, _) in zip(bands, bands[1:])), 'a row was computed twice'
    for output in set(graph.outputs):
        frame.take(output, 0, graph.tensors[output].rows)
    assert frame.slots == {}
    assert frame.bytes == 0


@RELAXED
@given(networks(), st.data())
def test_rows_on_demand_from_just_the_input_they_need(drawn, data):
    network, image = drawn
    with torch.inference_mode():
        expected = network(image)
    graph = capture(network, image)
    engine = Engine(graph)
    target = graph.outputs[0]
    rows = graph.tensors[target].rows
    a = data.draw(st.integers(0, rows - 1))
    b = data.draw(st.integers(a + 1, rows))
    frame = engine.start(outputs=())
    p, q = rows_needed(graph, target, a, b)
    if p < q:
        frame.feed(graph.input, p, q, image[:, :, p:q])
    frame.compute(target, a, b)
    tensor = graph.tensors[target]
    assert close(frame.take(target, a, b), tensor.narrow(expected[0], a, b)) is True


@RELAXED
@given(networks(), st.data())
def test_any_inner_tensor_can_be_fed_instead(drawn, data):
    network, image = drawn
    with torch.inference_mode():
        expected = network(image)
    graph = capture(network, image)
    engine = Engine(graph)
    inner = data.draw(st.sampled_from(graph.merge_candidates()))
    k = data.draw(st.integers(0, inner.rows))
    source = engine.start(outputs=())
    source.feed(graph.input, 0, image.shape[2], image)
    frame = engine.start(given={inner.id: (0, k)})
    if inner.id != graph.input:
        frame.feed(graph.input, 0, image.shape[2], image)
    elif k < inner.rows:
        frame.feed(inner.id, k, inner.rows, image[:, :, k:])
    if k:
        source.compute(inner.id, 0, k)
        frame.feed(inner.id, 0, k, source.take(inner.id, 0, k))
    for found, wanted in zip(frame.outputs(), expected):
        assert close(found, wanted) is True


@settings(RELAXED, max_examples=20)
@given(networks(kinds=[convolution, pooling, activation, combination], most=5))
def test_rules_cover_every_dependence(drawn):
    """Perturb one input row: only rows whose interval holds it may change."""
    network, image = drawn
    graph = capture(network, image)
    target = graph.outputs[0]
    rows = graph.tensors[target].rows
    spans = [rows_needed(graph, target, r, r + 1) for r in range(rows)]
    with torch.inference_mode():
        before = network(image)[0]
        for row in range(image.shape[2]):
            changed = image.clone()
            changed[:, :, row] += 3
            after = network(changed)[0]
            moved = ((after - before).abs() > 1e-4).any(1).any(2)[0]
            for r in moved.nonzero().flatten().tolist():
                # What has no rows is one row that needs all.
                first, last = spans[min(r, rows - 1)]
                assert first <= row < last


@settings(RELAXED, max_examples=40)
@given(st.data())
def test_rules_are_no_wider_than_the_dependence(data):
    """
    For one layer with no zero weights, first and last row that matter are exactly those named.
    """
    kind = data.draw(st.sampled_from([convolution, pooling]))
    network, image = data.draw(networks(kinds=[kind], most=1))
    for weight in network.parameters():
        weight.data.abs_().add_(0.1)
    graph = capture(network, image)
    target = graph.outputs[0]
    double = network.double()
    with torch.inference_mode():
        before = double(image.double())[0]
        depends = torch.zeros(before.shape[2], image.shape[2], dtype=torch.bool)
        for row in range(image.shape[2]):
            changed = image.double()
            changed[:, :, row] += 5 + row
            depends[:, row] = (double(changed)[0] != before).any(1).any(2)[0]
    for r in range(before.shape[2]):
        touched = depends[r].nonzero().flatten().tolist()
        p, q = rows_needed(graph, target, r, r + 1)
        if not touched:
            assert p >= q
        elif 0 < p and q < image.shape[2]:
            assert (p, q) == (touched[0], touched[-1] + 1)
        else:
            # Of a dilated window that is cut off, the outermost row may lie between two taps.
            assert p <= touched[0] and touched[-1] < q
