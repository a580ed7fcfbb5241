"""The SROS2 policies allow what the nodes do, and let a robot speak in its own namespace only."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from intradp_ros.nodes.device_node import DeviceNode
from intradp_ros.nodes.edge_node import EdgeNode
from intradp_ros.nodes.parameter_server import ParameterServer

FOLDER = Path(__file__).parents[2] / 'config' / 'security'
MODEL = {'model': 'demo_detector', 'input_size': '160x128', 'threads': 1}


def allowed(file, node):
    """Expand a policy: (what, how) -> full names, for one node."""
    profile, = (p for p in ElementTree.parse(FOLDER / file).iter('profile')
                if p.get('node') == node)
    names = {}
    for group in (*profile.iter('topics'), *profile.iter('services')):
        kind = next(k for k in ('publish', 'subscribe', 'request', 'reply') if group.get(k))
        assert group.get(kind) == 'ALLOW'
        names[kind] = {full(item.text, profile.get('ns'), node) for item in group}
    return names


def full(name, namespace, node):
    if name.startswith('~'):
        return f'{namespace}/{node}{name[1:]}'
    return name if name.startswith('/') else f'{namespace}/{name}'


@pytest.mark.parametrize('file, factory, namespace, overrides', [
    ('robot.policy.xml', DeviceNode, '/robot', MODEL | {'mode': 'offload'}),
    ('edge.policy.xml', EdgeNode, '/edge', MODEL),
    ('robot.policy.xml', ParameterServer, '/robot', {})])
def test_the_policy_is_what_the_node_does(graph, file, factory, namespace, overrides):
    node = graph.add(factory, namespace, **overrides)
    if factory is not ParameterServer:
        assert graph.call(node.start)
    if factory is EdgeNode:
        graph.add(DeviceNode, '/robot', **MODEL).trigger_configure()
        graph.wait(lambda: '/robot' in node.robots)
    names, watcher = allowed(file, node.get_name()), graph.probe('/watcher')

    def of_the_graph(find):
        return {name for name, _ in find(node.get_name(), namespace)}
    graph.wait(lambda: of_the_graph(watcher.get_publisher_names_and_types_by_node))
    published = of_the_graph(watcher.get_publisher_names_and_types_by_node)
    heard = of_the_graph(watcher.get_subscriber_names_and_types_by_node)
    served = of_the_graph(watcher.get_service_names_and_types_by_node)
    asked = of_the_graph(watcher.get_client_names_and_types_by_node)
    assert published <= names['publish'], published - names['publish']
    assert heard <= names['subscribe'], heard - names['subscribe']
    assert served <= names['reply'], served - names['reply']
    assert asked <= names.get('request', set()), asked


def test_a_robot_speaks_only_for_itself():
    for node in ('device_node', 'parameter_server'):
        names = allowed('robot.policy.xml', node)
        everybodys = {'/diagnostics', '/parameter_events', '/rosout'}
        assert all(n.startswith('/robot/') for n in names['publish'] - everybodys)
    assert '/robot/intradp/tiles' in allowed('robot.policy.xml', 'device_node')['publish']
    assert '/robot/intradp/tiles' not in allowed('edge.policy.xml', 'edge_node')['publish']
    assert not any('edge/detections' in n or 'edge_detections' in n for n in allowed(
        'robot.policy.xml', 'device_node')['publish'])
