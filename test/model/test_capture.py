"""Capture: what is folded, what is refused and how, names, fingerprints, sources of models."""

import argparse
import json
import logging

import pytest
import torch
from torch import nn

from intradp_ros.cli import models
from intradp_ros.errors import ModelError, ParameterError
from intradp_ros.model.capture import capture, load
from intradp_ros.tiling.engine import Engine

IMAGE = torch.rand(1, 3, 24, 16)


def small(scale=1.0):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU6(),
        nn.Dropout(),
        nn.Conv2d(6, 4, 1),
    ).eval()
    with torch.no_grad():
        net[4].weight.mul_(scale)
    return net


def factory():
    return small()


def test_batch_norm_and_activation_go_into_the_convolution():
    graph = capture(small(), IMAGE)
    assert [o.kind for o in graph.operators] == ['convolution', 'convolution']
    assert [t.name for t in graph.tensors] == ['input', '2', '4']
    assert graph.tensor('4').shape == (1, 4, 12, 8)
    assert graph.operators[0].macs == 6 * 12 * 8 * 27
    with pytest.raises(ParameterError, match='no tensor'):
        graph.tensor('five')


def test_fingerprint_is_of_structure_and_weights():
    first = capture(small(), IMAGE).fingerprint
    assert len(first) == 16 and int(first, 16) >= 0
    assert capture(small(), IMAGE).fingerprint == first
    assert capture(small(1.0001), IMAGE).fingerprint != first
    assert capture(small(), torch.rand(1, 3, 32, 16)).fingerprint != first


def test_a_saved_program_and_a_factory_are_the_same_model(tmp_path):
    path = tmp_path / 'small.pt2'
    torch.export.save(torch.export.export(small(), (IMAGE,)), path)
    expected = capture(small(), IMAGE)
    for source in (str(path), f'{__name__}:factory'):
        graph = load(source, IMAGE)
        assert [o.kind for o in graph.operators] == [o.kind for o in expected.operators]
        with torch.inference_mode():
            assert torch.allclose(Engine(graph).run(IMAGE)[0], small()(IMAGE), atol=1e-6)


@pytest.mark.parametrize('source', ['missing.pt2', 'no.such.module:f', f'{__name__}:nothing'])
def test_a_source_that_is_not_there_is_named(source):
    with pytest.raises(ModelError, match=source.split(':')[0].split('.')[0]):
        load(source, IMAGE)


def test_more_than_one_image_is_refused():
    with pytest.raises(ModelError, match='one image'):
        capture(small(), torch.rand(2, 3, 24, 16))


class ByData(nn.Module):
    def forward(self, x):
        return x[x > 0.5]


def test_shapes_that_depend_on_the_data_are_refused():
    with pytest.raises(ModelError):
        capture(ByData(), IMAGE)


class Unknown(nn.Module):
    def forward(self, x):
        return torch.cumsum(x, 2) + x


def test_an_unknown_operator_is_global_and_named(caplog):
    with caplog.at_level(logging.WARNING):
        graph = capture(Unknown(), IMAGE)
    assert 'cumsum' in graph.warnings[0] and 'cumsum' in caplog.text
    engine = Engine(graph)
    frame = engine.start()
    frame.feed(0, 12, 24, IMAGE[:, :, 12:])
    assert not frame.ready(graph.outputs[0])
    frame.feed(0, 0, 12, IMAGE[:, :, :12])
    assert torch.allclose(frame.outputs()[0], Unknown()(IMAGE), atol=1e-5)


def test_merge_candidates_carry_everything():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(3, 3, 3, 1, 1) for _ in range(3))

        def forward(self, x):
            x = self.a(x)
            return self.c(self.b(x) * x)

    graph = capture(Branches().eval(), IMAGE)
    assert [t.name for t in graph.merge_candidates()] == ['input', 'a', 'mul', 'c']


def test_the_command_prints_only_json(capsys):
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    args = parser.parse_args(['squeezenet1_1', '--size', '96x64', '--repeat', '1', '--json'])
    assert models.run(args) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert {
        'model',
        'operators',
        'local',
        'global',
        'local_mac_share',
        'max_rel_error',
        'wavefront_ratio',
        'half_ratio',
        'peak_ratio',
        'bottlenecks',
        'status',
    } <= set(row)
    assert row['status'] == 'ok' and row['max_rel_error'] <= 1e-5
    assert row['bottlenecks'][0]['byte_ratio'] < 1


def test_an_unknown_model_is_refused_with_similar_names():
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    with pytest.raises(ModelError, match='resnet50'):
        models.run(parser.parse_args(['resnet49', '--json']))
