"""Tables, files and README agree; bad values are refused with the reason."""

from pathlib import Path

import pytest
import yaml
from rclpy.parameter import Parameter as Value

from intradp_ros.errors import ParameterError
from intradp_ros.nodes import reference
from intradp_ros.nodes.camera_node import CameraNode
from intradp_ros.nodes.device_node import DeviceNode

ROOT = Path(__file__).parents[2]


def test_files_are_written_from_the_tables():
    stale = [f.name for f, text in reference.expected(ROOT).items() if f.read_text() != text]
    assert not stale, 'run: scripts/run python -m intradp_ros.nodes.reference --write'


def test_readme_has_every_table():
    readme = (ROOT / 'README.md').read_text()
    for node, table in reference.TABLES.items():
        assert f'<!-- parameters: {node} -->' in readme
        assert all(f'`{p.name}`' in readme for p in table)


def test_yaml_holds_every_parameter_with_its_default():
    for name, nodes in reference.FILES.items():
        read = yaml.safe_load((ROOT / 'config' / name).read_text())
        for node in nodes:
            assert read[f'/**/{node}']['ros__parameters'] == {
                p.name: p.default for p in reference.TABLES[node]}


@pytest.mark.parametrize('overrides, text', [
    ({'tile_count': 0}, 'tile_count.*1 to 256'),
    ({'mode': 'teleport'}, 'mode must be one of "auto", "local"'),
    ({'deadline_ms': 'soon'}, 'deadline_ms'),
    ({'input_size': 'large'}, '640x480')])
def test_bad_start_values_are_refused(graph, overrides, text):
    with pytest.raises(ParameterError, match=text):
        DeviceNode(overrides=overrides, context=graph.context)


@pytest.mark.parametrize('name, value, text', [
    ('rate', 0.0, 'range'), ('encoding', 'h264', 'bgr8'), ('width', 320, 'not active')])
def test_bad_changes_are_refused_with_the_reason(graph, name, value, text):
    camera = graph.add(CameraNode)
    result, = graph.call(camera.set_parameters, [Value(name, value=value)])
    assert not result.successful and text in result.reason
    result, = graph.call(camera.set_parameters, [Value('rate', value=20.0)])
    assert result.successful
