"""The whole system as processes of their own over DDS, and what happens when one of them dies."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import rclpy

from intradp_ros.nodes.demo_observer import DemoObserver
from intradp_ros.nodes.processes import Processes, command

MODEL = {'model': 'ssdlite320_mobilenet_v3_large', 'weights': 'random', 'threads': 1,
         'score_threshold': 0.005}
KEYS = {'frames', 'detection_messages', 'duplicates', 'missing', 'modes', 'latency_ms',
        'bytes_per_frame', 'tiles_per_frame', 'equal_to_whole_model', 'ros_distro', 'rmw'}


@pytest.mark.parametrize('mode, arguments', [
    ('offload', ['--source', 'scenes']), ('local', ['--source', 'photographs']),
    ('split', ['--source', 'scenes'])])
def test_demo(domain, tmp_path, mode, arguments):
    done = subprocess.run(
        [sys.executable, '-m', 'intradp_ros.nodes.demo', '--frames', '10', '--mode', mode,
         '--model', MODEL['model'], '--weights', 'random', '--out', str(tmp_path), '--json',
         *arguments], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert figures == json.loads((tmp_path / 'summary.json').read_text())
    assert set(figures) >= KEYS
    assert figures['frames'] == figures['detection_messages'] == 10
    assert figures['equal_to_whole_model'] is True
    assert sum(figures['modes'].values()) == 10 and mode in figures['modes']
    assert (figures['bytes_per_frame'] > 0) == (mode != 'local')
    assert figures['objects_per_frame'] > 0, 'equal, but there was nothing to compare'
    assert (tmp_path / 'detections.png').stat().st_size > 10000


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['SIGINT', 'SIGTERM'])
def test_demo_is_interrupted_cleanly(domain, tmp_path, number):
    demo = subprocess.Popen(
        [sys.executable, '-m', 'intradp_ros.nodes.demo', '--frames', '100000', '--model',
         MODEL['model'], '--weights', 'random', '--out', str(tmp_path)],
        stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while not list(tmp_path.glob('logs/camera_node.log')) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1)
        demo.send_signal(number)
        _, said = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 130 and 'interrupted' in said
    alive = subprocess.run(['pgrep', '-f', str(tmp_path)], capture_output=True, text=True).stdout
    assert not alive


class System:
    """Device, edge, camera and parameter server as processes; an observer in this one."""

    def __init__(self, processes, domain):
        self.processes = processes
        self.start_edge()
        for node, parameters in (
                ('device_node', MODEL | {'mode': 'offload', 'deadline_ms': 400.0}),
                ('parameter_server', {}), ('camera_node', {'width': 320, 'height': 240})):
            processes.start(node, command(node, '/robot', 'robot.yaml', parameters))
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.observer = DemoObserver(MODEL | {'frames': 100000}, context=self.context,
                                     namespace='/robot')
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.observer)

    def start_edge(self):
        self.processes.start('edge_node', command('edge_node', '/edge', 'edge.yaml', MODEL))

    @property
    def reports(self):
        return [r.report for r in self.observer.records.values()]

    def watch(self, frames, condition=lambda report: True, seconds=90):
        """Spin until `frames` more frames that fulfil a condition have been reported."""
        def count():
            return sum(map(condition, self.reports[seen:]))
        seen, until = len(self.reports), time.monotonic() + seconds
        while count() < frames:
            self.executor.spin_once(timeout_sec=0.1)
            assert time.monotonic() < until, (
                f'{count()} of {frames} frames; {self.reports[-3:]}')

    def settled(self, records):
        """Spin until each of these frames has its detections; give their stamps."""
        stamps = list(records)
        # A reliable message that was lost once is sent again within seconds (heartbeats of Fast
        # DDS: 3 s); one that comes twice comes soon after.
        until = time.monotonic() + 10
        while not all(records[s].detections for s in stamps) and time.monotonic() < until:
            self.executor.spin_once(timeout_sec=0.1)
            self.observer.collect()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            self.executor.spin_once(timeout_sec=0.1)
        self.observer.collect()
        return stamps

    def close(self):
        self.executor.shutdown()
        self.observer.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def system(domain, tmp_path):
    with Processes(tmp_path / 'logs') as processes:
        made = System(processes, domain)
        yield made
        made.close()
        for name, code in processes.stop_all().items():
            assert code == 0, (name, code, processes.log(name).read_text()[-2000:])


def by_edge(report):
    return report.source == 'edge'


def by_fallback(report):
    return report.source == 'device' and report.fallback and report.reason in (
        'edge silent', 'no edge')


def kill(system):
    edge = system.processes.running.pop('edge_node')
    edge.kill()
    edge.wait()


def pause(system):
    system.processes.running['edge_node'].send_signal(signal.SIGSTOP)


def resume(system):
    system.processes.running['edge_node'].send_signal(signal.SIGCONT)


@pytest.mark.parametrize('stop, go_on', [
    (kill, System.start_edge), (pause, resume)], ids=['killed', 'stopped'])
def test_no_frame_is_lost_with_the_edge(system, stop, go_on):
    system.watch(5, by_edge)
    stop(system)
    system.watch(8, by_fallback)
    go_on(system)
    system.watch(5, by_edge)
    system.processes.running.pop('parameter_server').kill()  # nobody waits for it
    system.watch(3)
    records = system.observer.collect()
    wrong = {records[s].report.frame: (len(records[s].detections), records[s].report.source)
             for s in system.settled(records) if len(records[s].detections) != 1}
    assert not wrong, f'detection messages by frame, of {len(records)}: {wrong}'
    numbers = [r.report.frame for r in records.values()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    stamps = [(s.sec, s.nanosec) for s in records]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['SIGINT', 'SIGTERM'])
def test_signals_end_every_node_with_code_0(system, number):
    system.watch(2, by_edge)
    for name in list(system.processes.running):
        process = system.processes.running.pop(name)
        process.send_signal(number)
        assert process.wait(20) == 0, name


def test_a_node_with_bad_parameters_says_so_and_ends(domain, tmp_path):
    line = command('device_node', '/robot', 'robot.yaml', {'tile_count': 0})
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 2
    assert 'tile_count' in done.stderr and '1 to 256' in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_node_without_its_model_says_so_and_ends(domain, tmp_path):
    line = command('edge_node', '/edge', 'edge.yaml', {'weights': '/nowhere/model.pt'})
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 1
    assert '/nowhere/model.pt' in done.stderr and 'Traceback' not in done.stderr
