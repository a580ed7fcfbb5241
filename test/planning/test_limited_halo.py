"""A halo that is wide enough changes nothing; a narrower one does, and the less it is the more."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from intradp_ros.errors import ParameterError
from intradp_ros.model.capture import capture
from intradp_ros.planning.limited_halo import limited_halo_error, relative
from intradp_ros.tiling.engine import Engine

sys.path.insert(0, str(Path(__file__).parent / 'planners'))
from small import skipping  # noqa: E402

IMAGE = torch.rand(1, 3, 64, 8, generator=torch.Generator().manual_seed(3))


def test_error_falls_to_zero_as_the_halo_grows():
    graph = skipping()
    engine, merge = Engine(graph), graph.outputs[0]
    rows = graph.tensors[merge].rows
    errors = [limited_halo_error(engine, IMAGE, merge, rows // 2, h) for h in (0, 4, 8, 64, None)]
    for field in ('merge', 'outputs'):
        of = [getattr(e, field) for e in errors]
        assert of == sorted(of, reverse=True)
        assert of[0] > 1e-2 and of[-1] <= 1e-6 and of[-2] <= 1e-6
    assert errors[0].beside > errors[0].merge


def test_a_merge_inside_reaches_the_outputs():
    graph = skipping(head=True)
    engine = Engine(graph)
    merge = graph.tensor('last').id
    rows = graph.tensors[merge].rows
    narrow = limited_halo_error(engine, IMAGE, merge, rows // 2, 0)
    assert narrow.merge > 1e-3 and narrow.outputs > 1e-6
    assert limited_halo_error(engine, IMAGE, merge, rows // 2, None).outputs <= 1e-6


def test_bands_are_images_of_their_own_without_halo():
    """With halo 0, the two bands are what the module makes of the two halves of the image."""
    torch.manual_seed(4)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.MaxPool2d(2), nn.Conv2d(8, 4, 5, 1, 2)
                           ).eval()
    graph = capture(module, IMAGE)
    merge = graph.outputs[0]
    with torch.no_grad():
        halves = torch.cat([module(IMAGE[:, :, :32]), module(IMAGE[:, :, 32:])], 2)
        expected = relative(halves, module(IMAGE))
    found = limited_halo_error(Engine(graph), IMAGE, merge, 16, 0)
    assert found.merge == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('row', [0, 16])
def test_rows_that_cut_nothing_are_refused(row):
    graph = skipping()
    with pytest.raises(ParameterError, match='16 rows'):
        limited_halo_error(Engine(graph), IMAGE, graph.tensor('last').id, row, 0)


def test_global_operators_have_no_bands():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4), nn.Conv2d(4, 4, 3, 1, 1))
    graph = capture(module.eval(), IMAGE)
    with pytest.raises(ParameterError, match='needs all rows'):
        limited_halo_error(Engine(graph), IMAGE, graph.outputs[0], 32, 0)
