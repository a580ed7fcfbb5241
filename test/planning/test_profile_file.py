"""Profiles survive the way through a file; broken files are refused with what is wrong."""

import json
import logging
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from random_networks import networks

from intradp_ros.errors import ModelError, ParameterError
from intradp_ros.model import registry
from intradp_ros.model.capture import capture
from intradp_ros.planning import bands
from intradp_ros.planning.profile import CodecCost, Measured, Power, estimated
from intradp_ros.planning.profile_file import load, save
from intradp_ros.planning.skeleton import need_from, plain_need
from intradp_ros.tiling.rows import boundaries

logging.getLogger('torch.__trace').propagate = False


def assert_same_graph(found, graph):
    assert found.tensors == graph.tensors
    assert (found.input, found.outputs, found.fingerprint) == (
        graph.input, graph.outputs, graph.fingerprint)
    for a, b in zip(found.operators, graph.operators, strict=True):
        assert a.needs == b.needs
        assert (a.name, a.kind, a.inputs, a.output, a.is_local, a.macs) == (
            b.name, b.kind, b.inputs, b.output, b.is_local, b.macs)


@given(networks())
@settings(max_examples=15, deadline=None, derandomize=True,
          phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck))
def test_random_networks_survive(tmp_path_factory, drawn):
    network, image = drawn
    graph = capture(network, image)
    profile, file = estimated(graph, 1e9), tmp_path_factory.mktemp('profile') / 'net.json'
    save(profile, file)
    found = load(file)
    assert_same_graph(found.graph, graph)
    assert found.seconds == profile.seconds
    with pytest.raises(ModelError, match='no weights'):
        found.graph.operators[0].kernel(torch.device('cpu'))


@pytest.fixture(scope='module', params=['squeezenet1_1', 'swin_t', 'detector'])
def graph(request):
    if request.param == 'detector':
        return request.getfixturevalue('detector').graph
    entry = registry.build(request.param, (224, 224))
    return capture(entry.module, torch.zeros(1, 3, entry.height, entry.width, dtype=torch.uint8))


def test_torchvision_models_survive(graph, tmp_path):
    profile = replace(
        estimated(graph, 3e9, model='m', host='h', processor='p "q"', threads=3), before=1e-3,
        after=2e-3, message_seconds=3e-4, power=Power(1, 2, 3, 4), note='n', created='c',
        torch='t', result_bytes=7, has_geometry=False,
        codecs=(CodecCost('zlib', 0.5, 1e-8, 2e-9), CodecCost('jpeg', 0.1, 1e-9, 1e-9, False)),
        measured=Measured(0.1, 0.11, 8, 0.09, 0.01, 30),
        least_rows=tuple(range(1, len(graph.operators) + 1)))
    file = tmp_path / 'net.json'
    save(profile, file)
    found = load(file)
    assert_same_graph(found.graph, graph)
    assert replace(found, graph=graph) == profile
    assert load(file, graph) == profile
    ends = boundaries(graph.tensors[graph.input].rows, 5)
    assert bands.resumed(found, graph.input, ends) == bands.resumed(profile, graph.input, ends)
    # People read it: an operator a line, and hardly a rule row by row.
    lines = file.read_text().splitlines()
    assert len(lines) < len(graph.operators) + len(graph.tensors) + 40
    assert sum('"first"' in line for line in lines) < len(lines) / 4


@pytest.fixture
def file(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.ReLU())
    save(estimated(capture(network, torch.zeros(1, 3, 16, 16)), 1e9), tmp_path / 'p.json')
    return tmp_path / 'p.json'


def test_files_that_are_none(file, tmp_path):
    text = file.read_text()
    with pytest.raises(ParameterError, match='cannot read'):
        load(tmp_path / 'absent.json')
    for broken, fault in ((text[:len(text) // 2], 'only a part'), ('', 'only a part'),
                          ('[]', 'does not say'), ('{"a": 1}', 'does not say'),
                          (text.replace('"version": 1', '"version": 99'), 'version 99')):
        file.write_text(broken)
        with pytest.raises(ParameterError, match=fault):
            load(file)
    file.write_bytes(b'\xff\xfe\x00profile')
    with pytest.raises(ParameterError, match='no profile'):
        load(file)
    with pytest.raises(ParameterError, match='cannot write'):
        save(estimated(capture(torch.nn.ReLU(), torch.zeros(1, 1, 4, 4)), 1e9),
             tmp_path / 'no' / 'folder.json')


@pytest.mark.parametrize('change', [
    lambda p: p.pop('tensors'), lambda p: p.update(outputs=[9]), lambda p: p.update(input=-1),
    lambda p: p.update(before='soon'), lambda p: p.update(before=-1),
    lambda p: p.update(power={'idle': 'low'}), lambda p: p.update(power={'asleep': 1}),
    lambda p: p['operators'][0].update(needs=['most']),
    lambda p: p['operators'][0].update(needs=['same', 'same']),
    lambda p: p['operators'][0].update(inputs=[17]),
    lambda p: p['operators'][0].update(inputs=[1]),
    lambda p: p['operators'][0].update(seconds=[2, 1]),
    lambda p: p['operators'][0].update(rows=[]),
    lambda p: p['operators'][0].update(needs=[{'first': [5] * 8, 'last': [99] * 8}]),
    lambda p: p['tensors'][0].update(dtype='float12'),
    lambda p: p['tensors'][0].update(rows=[2, 5, 1, 1]),
    lambda p: p['operators'].append(p['operators'][0]),
])
def test_broken_profiles_are_refused(file, change):
    plain = json.loads(file.read_text())
    change(plain)
    file.write_text(json.dumps(plain))
    with pytest.raises(ParameterError, match='broken profile'):
        load(file)


def test_another_model_is_refused(file):
    other = capture(torch.nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 16, 16))
    with pytest.raises(ParameterError, match=f'this model has {other.fingerprint}'):
        load(file, other)


@pytest.mark.parametrize('rule', ['same', 'all', 'share', ['window', 3, 2, 1]])
def test_rules_are_written_by_their_geometry(rule):
    need = need_from(rule, 12, {'same': 12, 'share': 6}.get(str(rule), 24))
    assert plain_need(need, {'same': 12, 'share': 6}.get(str(rule), 24)) == rule
