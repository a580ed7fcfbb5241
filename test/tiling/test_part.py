"""A part of a divided image against what the offline reference makes of the same rows."""

import random
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from intradp_ros.errors import ParameterError, TileError
from intradp_ros.model import zoo
from intradp_ros.model.capture import capture
from intradp_ros.planning import recompute
from intradp_ros.planning.limited_halo import _band
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.part import Division, Part, check, join, shares, spans

sys.path.insert(0, str(Path(__file__).parents[1] / 'planning' / 'planners'))
from small import skipping  # noqa: E402

DIVISIONS = [Division(cut, halo) for cut in (32, 64, 70, 100) for halo in (0, 9, 40)]


@pytest.fixture(scope='module', params=['demo_detector', 'retinanet_resnet50_fpn', 'skipping'])
def engine(request):
    if request.param == 'skipping':
        return Engine(skipping())
    height = 480 if 'retinanet' in request.param else 128  # lower, its last level has no bands
    return Engine(zoo.build(request.param, input_size=(height, 96)).graph)


def image_for(graph):
    source = graph.tensors[graph.input]
    generator = torch.Generator().manual_seed(1)
    if source.dtype is torch.uint8:
        return torch.randint(0, 256, source.shape, generator=generator, dtype=torch.uint8)
    return torch.rand(source.shape, generator=generator)


def scaled(graph, division):
    height = graph.tensors[graph.input].rows
    return Division(division.cut * height // 128, division.halo * height // 128)


def fed_in_random_order(part, image):
    frame, rows = part.engine.start(), image[0].permute(1, 2, 0).contiguous().numpy()
    bounds = [*range(0, len(rows), 13), len(rows)]
    bands = list(zip(bounds, bounds[1:]))
    random.Random(2).shuffle(bands)
    for a, b in bands:
        part.feed(frame, a, b, rows[a:b])
    return part.outputs(frame)


@pytest.mark.parametrize('division', DIVISIONS, ids=str)
def test_parts_are_the_bands_of_the_reference(engine, division):
    graph, image = engine.graph, image_for(engine.graph)
    division = scaled(graph, division)
    height = graph.tensors[graph.input].rows
    work = recompute.work(graph, [0] * len(graph.operators), (division.cut / height,),
                          division.halo)
    for lower in (False, True):
        begins = [work.edge[t.id] if lower else 0 for t in graph.tensors]
        if lower:
            begins[graph.input] = work.slices[graph.input][0]
        expected = [(a, t.rows if lower else b)
                    for a, b, t in zip(begins, work.device, graph.tensors)]
        found = spans(graph, division, lower)
        # Planned rows, and a row more where a stride would leave an operator nothing to read.
        assert all(a == b or a <= p and q <= b for (a, b), (p, q) in zip(found.values(), expected))
        part = Part(engine, division, lower)
        assert (part.begin, part.end) == found[graph.input]
        for output, rows in zip(graph.outputs, fed_in_random_order(part, image)):
            a, b = shares(graph, division, lower)[output]
            assert (rows is None) == (a == b)
            if rows is not None:
                reference = _band(engine, graph.ancestors([output]), image, output,
                                  list(found.values()))
                reference = graph.tensors[output].narrow(reference, a, b, found[output][0])
                assert rows[0] == a
                assert (rows[1] - reference).abs().max() <= 1e-5 * reference.abs().max()


def test_with_all_the_halo_that_it_takes_nothing_is_lost(engine):
    graph, image = engine.graph, image_for(engine.graph)
    height = graph.tensors[graph.input].rows
    sides = [fed_in_random_order(Part(engine, Division(height // 2, height), lower), image)
             for lower in (False, True)]
    for found, whole in zip(join(graph, *sides), engine.run(image)):
        assert (found - whole).abs().max() <= 1e-5 * whole.abs().max()


def test_a_part_shares_the_weights_and_holds_less(engine):
    part = Part(engine, Division(engine.graph.tensors[engine.graph.input].rows // 4, 0), False)
    whole, frame = engine.start(), part.engine.start()
    image = image_for(engine.graph)
    whole.feed(engine.graph.input, 0, image.shape[2], image)
    part.feed(frame, 0, image.shape[2], image[0].permute(1, 2, 0).contiguous().numpy())
    assert frame.done and frame.peak_bytes < 0.6 * whole.peak_bytes
    assert frame.rows_computed < 0.6 * whole.rows_computed


def test_outputs_that_are_not_complete(engine):
    part = Part(engine, scaled(engine.graph, Division(64, 0)), True)
    with pytest.raises(TileError):
        part.outputs(part.engine.start())


@pytest.mark.parametrize('division', [Division(0, 4), Division(64, 4), Division(70, 4),
                                      Division(32, -1)])
def test_a_side_without_rows_is_refused(division):
    with pytest.raises(ParameterError, match='cannot be divided'):
        check(skipping(), division)


def test_global_operators_cannot_be_divided():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4), nn.Conv2d(4, 4, 3, 1, 1))
    graph = capture(module.eval(), torch.rand(1, 3, 64, 8))
    with pytest.raises(ParameterError, match='needs all rows'):
        check(graph, Division(32, 4))
