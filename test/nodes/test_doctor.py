"""The doctor names what is wrong, over DDS with real nodes, and on machines made of files."""

import json
import os
import subprocess
import sys

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy

from intradp_ros.msg import TileAck
from intradp_ros.nodes import doctor, doctor_host, doctor_system
from intradp_ros.nodes.camera_node import CameraNode
from intradp_ros.nodes.device_node import DeviceNode
from intradp_ros.nodes.doctor_system import Seen
from intradp_ros.nodes.edge_node import EdgeNode

MODEL = {'model': 'demo_detector', 'input_size': '160x128', 'threads': 1,
         'score_threshold': 0.05}
MACHINE = {'domain', 'discovery', 'sockets', 'fragments', 'interfaces', 'shared memory', 'cores'}


def started(graph, factory, namespace, **overrides):
    node = graph.add(factory, namespace, **(MODEL | overrides))
    assert graph.call(node.start)
    return node


def faults(found):
    """What is wrong with the system, whatever this machine's own settings."""
    return [f for f in found if f.level == 'fault' and f.subject not in MACHINE]


def the_fault(found, text):
    chosen = [f for f in faults(found) if text in f.text]
    assert len(chosen) == 1 and chosen[0].cure, faults(found)
    return chosen[0]


@pytest.fixture
def system(graph):
    device = started(graph, DeviceNode, '/robot', mode='offload', deadline_ms=20000.0)
    graph.add(CameraNode, width=200, height=150, rate=5.0)
    return graph, device


def test_a_healthy_system_has_no_fault_and_its_figures_are_there(system):
    graph, device = system
    edge = started(graph, EdgeNode, '/edge')
    graph.wait(lambda: device.session.answered > 5)
    found = doctor.examine(3)
    assert not faults(found)
    told = {(f.subject, f.text) for f in found if f.level == 'ok'}
    for subject, text in (('/robot/device_node', device.session.detector.identity),
                          ('/robot/device_node', 'clock '), ('/edge/edge_node', 'edge, active'),
                          ('/robot', 'goodput'), ('/robot', 'latency p50'),
                          ('middleware', 'rmw_'), ('/robot/intradp/tiles', 'fit together')):
        assert any(s == subject and text in t for s, t in told), (subject, text, found)
    only = doctor.examine(1, '/elsewhere')
    assert 'edge.launch.py' in the_fault(only, 'no edge is found in namespace /elsewhere').cure
    assert graph.call(edge.trigger_deactivate)
    sleeping = the_fault(doctor.examine(1), 'is inactive')
    assert sleeping.cure.startswith('ros2 lifecycle set /edge/edge_node activate')


def test_a_model_mismatch_names_the_parameter(system):
    graph, device = system
    started(graph, EdgeNode, '/edge', score_threshold=0.5)
    graph.wait(lambda: device.session.unanswered)
    found = doctor.examine(3)
    fault = the_fault(found, '/edge/edge_node runs demo_detector#')
    assert 'score_threshold 0.05 and 0.5' in fault.text
    assert 'ros2 param set /edge/edge_node score_threshold 0.05' in fault.cure
    assert the_fault(found, 'because: edge refused').subject == '/robot'


def test_a_qos_mismatch_names_both_ends(system):
    graph, device = system
    started(graph, EdgeNode, '/edge')
    # Acknowledgements are best effort; a listener that insists on more hears none.
    graph.probe().create_subscription(TileAck, 'intradp/acks', print, QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE))
    graph.wait(lambda: device.session.answered)
    fault = the_fault(doctor.examine(2), 'never connect')
    assert fault.subject == '/robot/intradp/acks' and 'reliab' in fault.text.lower()
    assert '/edge/edge_node (publisher) and /robot/probe (subscription)' in fault.text


def test_an_empty_domain(domain):
    found = doctor.examine(1)
    assert {f.text for f in faults(found)} == {'no robot is found', 'no edge is found'}


def test_the_command(domain):
    done = subprocess.run([sys.executable, '-m', 'intradp_ros.cli.main', 'doctor', '--seconds',
                           '1', '--json'], capture_output=True, text=True, timeout=100)
    answer = json.loads(done.stdout)
    assert done.returncode == 1 and answer['faults'] >= 2
    assert all(f['cure'] for f in answer['findings'] if f['level'] != 'ok')
    done = subprocess.run([sys.executable, '-m', 'intradp_ros.cli.main', 'doctor', '--seconds',
                           '0'], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and '--seconds must lie in 1 to 3600' in done.stderr


def machine(root, **changes):
    """Write a file system of a well-kept machine."""
    values = {'proc/sys/net/core/rmem_max': 4194304, 'proc/sys/net/core/wmem_max': 4194304,
              'proc/sys/net/core/rmem_default': 4194304, 'proc/sys/net/ipv4/ipfrag_time': 3,
              'proc/sys/net/ipv4/ipfrag_high_thresh': 134217728, 'sys/class/net/eth0/mtu': 1500,
              'sys/class/net/eth0/operstate': 'up', 'sys/class/net/wlan0/operstate': 'down',
              'sys/class/net/wlan0/mtu': 1400,
              'sys/devices/system/cpu/cpu0/cpufreq/scaling_governor': 'performance'}
    for name, value in (values | changes).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f'{value}\n')
    (root / 'dev/shm').mkdir(parents=True)
    return root


PROFILE = {'FASTDDS_DEFAULT_PROFILES_FILE': 'some.xml'}


def test_a_well_kept_machine(tmp_path):
    found = doctor_host.check(PROFILE, 'rmw_fastrtps_cpp', root=machine(tmp_path))
    assert {f.level for f in found} == {'ok'}
    assert {f.subject for f in found} == MACHINE - {'cores'}


@pytest.mark.parametrize('file, value, level, text, cure', [
    ('proc/sys/net/core/rmem_max', 212992, 'fault', '212992',
     'sysctl -w net.core.rmem_max=4194304'),
    ('proc/sys/net/core/wmem_max', 212992, 'fault', '212992',
     'sysctl -w net.core.wmem_max=4194304'),
    ('proc/sys/net/ipv4/ipfrag_high_thresh', 262144, 'fault', '262144', '134217728'),
    ('proc/sys/net/ipv4/ipfrag_time', 30, 'hint', '30 s', 'ipfrag_time=3'),
    ('sys/class/net/eth0/mtu', 1280, 'hint', '47 packets', 'message_bytes 8000'),
    ('sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'powersave', 'hint', 'powersave',
     'cpupower'),
    ('sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count', 7, 'hint', '7 times',
     'cool')])
def test_a_badly_kept_machine(tmp_path, file, value, level, text, cure):
    found = doctor_host.check(PROFILE, 'rmw_fastrtps_cpp', root=machine(tmp_path, **{file: value}))
    wrong, = (f for f in found if f.level != 'ok')
    assert wrong.level == level and text in wrong.text and cure in wrong.cure


@pytest.mark.parametrize('name, value, level', [
    ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'OFF', 'fault'), ('ROS_LOCALHOST_ONLY', '1', 'hint'),
    ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST', 'hint'), ('ROS_DOMAIN_ID', '150', 'hint')])
def test_discovery(tmp_path, name, value, level):
    found = doctor_host.check(PROFILE | {name: value}, 'rmw_fastrtps_cpp', root=machine(tmp_path))
    wrong, = (f for f in found if f.level != 'ok')
    assert wrong.level == level and value in wrong.text and wrong.cure


@pytest.mark.parametrize('ages, round_trip, level, text', [
    ((0.003, 0.001), 0.002, 'ok', '+0.0 ms from the one here, +- 1.0 ms'),
    ((2.501, 2.503), 0.002, 'fault', '-2500.0 ms'), ((-1.999,), 0.002, 'fault', '+2000.0 ms'),
    ((0.3,), 0.5, 'ok', '+- 250.0 ms')])
def test_clocks(ages, round_trip, level, text):
    seen = Seen('/robot/device_node', 'device', 'active', ages=list(ages), round_trip=round_trip)
    found, = doctor_system.clocks([seen])
    assert found.level == level and text in found.text and bool(found.cure) == (level == 'fault')


def test_equal_parameters_and_other_weights():
    nodes = [Seen(f'/{role}', role, 'active', model=f'demo#{n}', parameters={'seed': 0})
             for n, role in enumerate(('device', 'edge'))]
    found, = doctor_system.models(nodes)
    assert found.level == 'fault' and 'weights differ' in found.text and 'copy' in found.cure


def test_two_robots_in_one_namespace():
    nodes = [Seen('/robot/device_node', 'device', 'active') for _ in range(2)]
    assert any('2 nodes of this name' in f.text for f in doctor_system.states(nodes))


def test_a_lossy_link_and_a_dead_one():
    state = doctor_system.LinkState(goodput_bytes_per_s=1e6, loss=0.2, edge_alive=True)
    lossy, = doctor_system.link('/r', '/r/device_node', state, 'offload', False)
    assert lossy.level == 'fault' and '20.0%' in lossy.text and 'reliable_tiles' in lossy.cure
    state.edge_alive = False
    dead, = doctor_system.link('/r', '/r/device_node', state, 'offload', True)
    assert dead.level == 'fault' and 'does not answer' in dead.text
    fine, = doctor_system.link('/r', '/r/device_node', state, 'local', True)
    assert fine.level == 'ok'


def test_no_terminal_no_colours(domain):
    done = subprocess.run([sys.executable, '-m', 'intradp_ros.cli.main', 'doctor', '--seconds',
                           '1'], capture_output=True, text=True, timeout=100, env=os.environ)
    assert '\033[' not in done.stdout and '2 faults' in done.stdout.splitlines()[-1]
