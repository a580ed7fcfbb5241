"""The engine against the module itself: any partition, any order, each row once, nothing left."""

import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from intradp_ros.errors import TileError
from intradp_ros.model import zoo
from intradp_ros.model.capture import capture
from intradp_ros.model.graph import rows_needed
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.survey import TOLERANCE

MODELS = ['retinanet_resnet50_fpn', 'ssdlite320_mobilenet_v3_large', 'fcos_resnet50_fpn']


def error(found, expected):
    """Give the largest difference, in parts of the largest value."""
    for f, e in zip(found, expected):
        assert f.shape == e.shape
        assert e.std() > 0, 'a constant output proves nothing'
    return max(((f - e).abs().max() / e.abs().max()).item() for f, e in zip(found, expected))


def partition(rows, bands, rng):
    cuts = [0, *sorted(rng.sample(range(1, rows), bands - 1)), rows]
    order = list(zip(cuts, cuts[1:]))
    rng.shuffle(order)
    return order


@pytest.fixture(scope='module', params=MODELS)
def detector(request):
    size = None if 'ssdlite' in request.param else (160, 224)
    return zoo.build(request.param, input_size=size)


@pytest.fixture(scope='module')
def captured(detector):
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(
        0,
        256,
        (1, 3, detector.input_height, detector.input_width),
        generator=generator,
        dtype=torch.uint8,
    )
    graph = capture(detector.dense, image)
    with torch.inference_mode():
        expected = detector.dense(image)
    return Engine(graph), image, expected


@pytest.fixture(scope='module')
def exact(detector, captured):
    """Give the outputs in float64, by a copy with the same weights."""
    copy = zoo.build(detector.name, input_size=(detector.input_height, detector.input_width))
    copy.dense.normalize.register_forward_hook(lambda _, inputs, output: output.double())
    with torch.inference_mode():
        return copy.dense.double()(captured[1])


def test_bands_are_as_near_the_truth_as_the_module(captured, exact):
    """What differs is rounding, which depends on the kernels that a processor has."""
    engine, image, expected = captured
    assert 0 < error(expected, exact) < 1e-4
    for bands in 2, 7, 13:
        frame = engine.start()
        for a, b in partition(image.shape[2], bands, random.Random(bands)):
            frame.feed(0, a, b, image[:, :, a:b])
        assert error(frame.outputs(), exact) <= 3 * error(expected, exact)


def test_whole_is_the_module(captured):
    engine, image, expected = captured
    assert error(engine.run(image), expected) < 1e-4


@pytest.mark.parametrize('bands', [2, 3, 8, 13])
def test_bands_in_any_order_give_the_whole(captured, bands):
    engine, image, _ = captured
    expected = engine.run(image)
    rng = random.Random(bands)
    frame = engine.start()
    for a, b in partition(image.shape[2], bands, rng):
        assert not frame.done
        frame.feed(0, a, b, image[:, :, a:b])
    assert frame.done
    assert error(frame.outputs(), expected) <= TOLERANCE
    assert frame.rows_computed == sum(
        engine.graph.tensors[o.output].rows for o in engine.graph.operators
    )
    for output in engine.graph.outputs:
        frame.take(output, 0, engine.graph.tensors[output].rows)
    assert frame.slots == {}
    assert frame.bytes == 0


def test_two_sides_meet_at_a_merge_tensor(captured):
    """The device computes upper rows, the edge lower ones from raw rows, and then all the rest."""
    engine, image, _ = captured
    expected, graph = engine.run(image), engine.graph
    height = image.shape[2]
    merge = [t for t in graph.merge_candidates() if t.rows > 8][-1]
    middle = merge.rows // 2
    device = engine.start(outputs=())
    device.feed(0, 0, height, image)
    first, last = rows_needed(graph, merge.id, middle, merge.rows)
    edge = engine.start(given={merge.id: (0, middle)})
    edge.feed(0, first, last, image[:, :, first:last])
    assert edge.ready(merge.id) == () or edge.ready(merge.id)[0][0] >= middle
    for a in range(0, middle, 4):
        b = min(a + 4, middle)
        device.compute(merge.id, a, b)
        edge.feed(merge.id, a, b, device.take(merge.id, a, b))
    assert edge.done
    assert error(edge.outputs(), expected) <= TOLERANCE
    # The link dies: the device goes on to the end by itself, with the rows that it has.
    before = device.rows_computed
    for output in graph.outputs:
        device.compute(output, 0, graph.tensors[output].rows)
    assert error(device.outputs(), expected) <= TOLERANCE
    assert device.rows_computed - before < sum(
        graph.tensors[o.output].rows for o in graph.operators
    )


def test_a_change_of_mind_is_made_good(captured):
    """
    The device promised rows and does not send them all: the edge computes them from raw rows.
    """
    engine, image, _ = captured
    expected, graph = engine.run(image), engine.graph
    merge = [t for t in graph.merge_candidates() if t.rows > 8][-1]
    promised, sent = merge.rows // 2, merge.rows // 4
    source = engine.start(outputs=())
    source.feed(0, 0, image.shape[2], image)
    source.compute(merge.id, 0, sent)
    edge = engine.start(given={merge.id: (0, promised)})
    first, last = rows_needed(graph, merge.id, promised, merge.rows)
    edge.feed(0, first, last, image[:, :, first:last])
    edge.feed(merge.id, 0, sent, source.take(merge.id, 0, sent))
    assert not edge.done
    edge.expect(merge.id, ())
    more = rows_needed(graph, merge.id, sent, promised)[0]
    if more < first:
        edge.feed(0, more, first, image[:, :, more:first])
    assert edge.done
    assert error(edge.outputs(), expected) <= TOLERANCE


def test_rows_that_were_not_fed_are_named(captured):
    engine, image, _ = captured
    frame = engine.start(outputs=())
    frame.feed(0, 0, 32, image[:, :, :32])
    with pytest.raises(TileError, match='have not been fed'):
        frame.compute(engine.graph.outputs[0], 0, 1)
    with pytest.raises(TileError, match='got'):
        frame.feed(0, 32, 40, image[:, :, 32:44])


class Gates(nn.Module):
    """Squeeze and excitation, group norm, dilation, a transposed convolution, two outputs."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, 2, 2)
        self.norm = nn.GroupNorm(4, 8)
        self.gate = nn.Conv2d(8, 8, 1)
        self.wide = nn.Conv2d(8, 8, 3, 1, 3, dilation=3)
        self.up = nn.ConvTranspose2d(8, 6, 4, 2, 1)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        return self.wide(x), self.up(x) + F.interpolate(x, scale_factor=2)[:, :6]


def test_frames_run_side_by_side():
    torch.manual_seed(0)
    module = Gates().eval()
    images = [torch.rand(1, 3, 44, 30) for _ in range(3)]
    engine = Engine(capture(module, images[0]))
    frames = [engine.start() for _ in images]
    for a, b in [(30, 44), (0, 7), (7, 30)]:
        for frame, image in zip(frames, images):
            frame.feed(0, a, b, image[:, :, a:b])
    for frame, image in zip(frames, images):
        with torch.inference_mode():
            assert error(frame.outputs(), module(image)) <= 1e-5
