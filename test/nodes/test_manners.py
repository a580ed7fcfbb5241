"""What a good ROS citizen does: leaves nothing behind, ends when asked, answers for itself."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from intradp_ros.nodes import conversions, qos
from intradp_ros.nodes.device_node import DeviceNode
from intradp_ros.nodes.edge_node import EdgeNode
from intradp_ros.nodes.processes import Processes, command

MODEL = {'model': 'demo_detector', 'input_size': '160x128', 'threads': 1,
         'score_threshold': 0.05}
SUCCESS = TransitionCallbackReturn.SUCCESS


def entities(node):
    """All that a node holds in the ROS graph and on its executor."""
    return {kind: sorted(getattr(e, 'topic_name', type(e).__name__) for e in held)
            for kind, held in (('publishers', node.publishers), ('timers', node.timers),
                               ('subscriptions', node.subscriptions),
                               ('guards', node.guards), ('waitables', node.waitables))}


def threads():
    return sorted(t.name for t in threading.enumerate()
                  if t.name == 'sender' or t.name.startswith('inference'))


@pytest.mark.parametrize('turned', ['device', 'edge'])
def test_lifecycle_in_the_middle_of_frames_leaves_nothing(graph, photograph, turned):
    """The camera never stops: transitions meet frames wherever they are."""
    nodes = {'device': graph.add(DeviceNode, '/robot', mode='offload', deadline_ms=2000.0,
                                 **MODEL),
             'edge': graph.add(EdgeNode, '/edge', **MODEL)}
    bare, none = entities(nodes[turned]), threads()
    camera, message = graph.probe(), conversions.image_from_rgb(photograph, Header())
    publisher = camera.create_publisher(Image, 'image', qos.camera(True))
    other = nodes['edge' if turned == 'device' else 'device']
    assert graph.call(other.start)
    beside, heard = threads(), []
    camera.create_subscription(DiagnosticArray, '/diagnostics', heard.append, 10)
    camera.create_timer(0.03, lambda: publisher.publish(message))
    node = nodes[turned]
    for pause in (0.0, 0.4, 0.05, 0.8, 0.21):
        assert graph.call(node.trigger_configure) is SUCCESS
        configured = entities(node)
        assert graph.call(node.trigger_activate) is SUCCESS
        assert len(threads()) > len(beside)
        time.sleep(pause)
        assert graph.call(node.trigger_deactivate) is SUCCESS
        assert threads() == beside and node.session is None
        assert entities(node) == configured
        assert graph.call(node.trigger_cleanup) is SUCCESS
        assert entities(node) == bare
    assert graph.call(node.trigger_configure) is SUCCESS
    assert graph.call(node.trigger_activate) is SUCCESS
    device = nodes['device']
    graph.wait(lambda: device.session.answered > 2)  # after all that it still works
    # Active nodes answer for themselves, with figures.
    del heard[:]
    for name, keys in (('robot/device_node', {'mode', 'model', 'goodput [MB/s]', 'loss'}),
                       ('edge/edge_node', {'model', '/robot accepted'})):
        graph.wait(lambda name=name, keys=keys: any(
            keys <= {v.key for v in status.values} for array in list(heard)
            for status in array.status if status.name.startswith(name)))
    for each in nodes.values():
        graph.call(each.trigger_deactivate)
    assert threads() == none


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT], ids=['SIGTERM', 'SIGINT'])
def test_signals_end_every_node_with_code_0(domain, tmp_path, number):
    files = {'edge_node': 'edge.yaml', 'device_node': 'robot.yaml', 'camera_node': 'robot.yaml',
             'parameter_server': 'robot.yaml'}
    context = rclpy.Context()
    rclpy.init(args=[], context=context, domain_id=domain)
    probe = rclpy.create_node('probe', context=context)
    with Processes(tmp_path / 'logs') as processes:
        for name, file in files.items():
            processes.start(name, command(name, '/robot', file, MODEL if file == 'edge.yaml' or
                                          name == 'device_node' else {}))
        try:
            until = time.monotonic() + 90
            # One that is still building its model is to end, too: nobody waits for activity.
            while not files.keys() <= {n for n, _ in probe.get_node_names_and_namespaces()}:
                processes.check()
                assert time.monotonic() < until, 'the nodes do not appear'
                time.sleep(0.1)
        finally:
            probe.destroy_node()
            context.try_shutdown()
        for process in processes.running.values():
            process.send_signal(number)
        until = time.monotonic() + 30  # generous: the machine may be busy
        codes = {name: process.wait(max(0.1, until - time.monotonic()))
                 for name, process in processes.running.items()}
        assert codes == dict.fromkeys(files, 0), {
            name: processes.log(name).read_text()[-1500:] for name in codes if codes[name]}


def catches_signals(process):
    """Whether a process has handlers for SIGINT and SIGTERM, as Linux says."""
    status = Path(f'/proc/{process.pid}/status').read_text()
    caught = int(status.split('SigCgt:')[1].split()[0], 16)
    return all(caught >> number - 1 & 1 for number in (signal.SIGINT, signal.SIGTERM))


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT], ids=['SIGTERM', 'SIGINT'])
@pytest.mark.parametrize('moment', [0.0, 0.7, 2.5, 6.0, 'measuring'])
def test_a_signal_while_a_node_starts_ends_it_with_code_0(domain, tmp_path, moment, number):
    """While it imports, builds its model, or measures a profile: for seconds each."""
    with Processes(tmp_path / 'logs', {'XDG_CACHE_HOME': str(tmp_path)}) as processes:
        node = processes.start('device_node', command(
            'device_node', '/robot', 'robot.yaml', MODEL))
        log, until = processes.log('device_node'), time.monotonic() + 90
        while not catches_signals(node) or (moment == 'measuring'
                                            and moment not in log.read_text()):
            assert time.monotonic() < until and node.poll() is None, log.read_text()[-1500:]
            time.sleep(0.02)
        time.sleep(0.5 if moment == 'measuring' else moment)
        node.send_signal(number)
        assert node.wait(30) == 0, log.read_text()[-1500:]
        assert 'Traceback' not in log.read_text()


BROKEN = """
import os
from rclpy.node import Node
from intradp_ros.nodes.managed_node import run

class Broken(Node):
    def __init__(self):
        super().__init__('broken')
        self.create_timer(0.1, self.work)

    def work(self):
        raise ValueError('while working')

    def destroy_node(self):
        raise ValueError('while closing')

os._exit(run(Broken))  # as the executables do
"""


def test_a_node_that_fails_and_cannot_even_close_ends_with_code_1(domain):
    done = subprocess.run([sys.executable, '-c', BROKEN], capture_output=True, text=True,
                          timeout=60, env=os.environ | {'ROS_DOMAIN_ID': str(domain)})
    assert done.returncode == 1
    assert 'while working' in done.stderr and 'while closing' in done.stderr
