"""Where a node's profile comes from, and what a message costs."""

import time
from contextlib import closing

import numpy as np
import pytest
import rclpy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from intradp_ros.errors import ParameterError
from intradp_ros.model import zoo
from intradp_ros.msg import FrameReport
from intradp_ros.nodes import conversions, message_cost, profiles, qos
from intradp_ros.nodes.device_node import DeviceNode
from intradp_ros.planning import profile_cache
from intradp_ros.planning.measure import measure
from intradp_ros.planning.profile_file import save
from intradp_ros.runtime import power
from intradp_ros.runtime.wire import Ack, AckState


class Lines(list):
    def info(self, text):
        self.append(text)

    warning = info


@pytest.fixture
def small(tmp_path, monkeypatch, domain):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(profile_cache, 'QUICK', 0.1)
    return zoo.build('demo_detector', 'DEFAULT', input_size=(64, 96))


def test_measured_once_then_from_the_cache_or_a_file(small, tmp_path):
    lines = Lines()
    first = profiles.profile_of(lines, small, threads=1)
    assert first.message_seconds > 0 and first.fingerprint == small.graph.fingerprint
    assert 'measuring demo_detector once' in lines[0]
    del lines[:]
    assert profiles.profile_of(lines, small, threads=1) == first
    assert len(lines) == 1 and first.created in lines[0]

    file = tmp_path / 'p.json'
    save(first, file)
    assert profiles.profile_of(lines, small, str(file)) == first
    other = zoo.build('demo_detector', 'DEFAULT', input_size=(96, 96))
    with pytest.raises(ParameterError, match=f'this model has {other.graph.fingerprint}'):
        profiles.profile_of(lines, other, str(file))


def test_messages_cost_something_and_leave_nothing_behind(domain):
    rclpy.init()
    try:
        node = rclpy.create_node('probe')
        with message_cost._reader() as publish:
            publishing, handling = message_cost.message_seconds(publish, 10)
        assert 0 < publishing < 1 and 0 < handling < 1
        graph_is_empty = time.monotonic() + 20
        while node.count_publishers('/intradp_profile/tiles'):
            assert time.monotonic() < graph_is_empty
            time.sleep(0.05)
        node.destroy_node()
    finally:
        rclpy.shutdown()


def test_messages_go_through_a_sessions_sender_and_a_failure_is_heard():
    sent = []
    with closing(message_cost.Line(sent.append, 1000)) as line:
        for count in range(1, 6):  # more than a window that nothing is known of would take
            assert 0 <= line.send() < 10
            line.on_ack(conversions.message_from_ack(Ack(
                0, 0, count, 0, count, 1000 * count, AckState.RECEIVING)))
    assert [(tile.index, len(tile.data)) for tile in sent] == [(k, 1000) for k in range(5)]

    def fails(tile):
        raise ValueError('no publisher')
    with closing(message_cost.Line(fails, 1000)) as line, \
            pytest.raises(ValueError, match='no publisher'):
        line.send()


def test_what_a_message_takes_of_a_core_that_inference_has_is_measured_beside_inference():
    def spend(seconds):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass
    found = message_cost.seconds_of_inference(lambda: spend(0.02), lambda: spend(0.05), 0.02,
                                               1.0)
    assert found == pytest.approx(0.02, rel=0.5)


def test_a_processor_second_takes_longer_where_half_of_the_time_is_taken_away():
    def half():
        begin = time.process_time()
        while time.process_time() < begin + 0.02:
            pass
        time.sleep(0.02)
    assert 1.8 < message_cost.slowness(half)


def test_a_robot_with_one_core_pays_for_messages_in_inference(small, monkeypatch):
    monkeypatch.setattr('intradp_ros.runtime.processor.cores', lambda: 0.5)
    image = np.zeros((64, 96, 3), np.uint8)
    profile = measure(small.graph, 'demo_detector', image, small, threads=1, budget=0.1)
    found = message_cost.with_messages(profile, image, small)
    assert found.message_compute > found.message_seconds > 0 and not found.note


def test_a_profile_says_when_no_message_came_through(small, monkeypatch):
    monkeypatch.setattr(message_cost, 'TIMEOUT', 0.0)
    image = np.zeros((64, 96, 3), np.uint8)
    profile = measure(small.graph, 'demo_detector', image, small, threads=1, budget=0.1)
    found = message_cost.with_messages(profile, image, small)
    assert not found.message_seconds and 'cost of a message taken as 0' in found.note


def test_energy_is_in_every_report(graph, tmp_path, monkeypatch, photograph):
    zone = tmp_path / 'class/powercap/intel-rapl:0'
    zone.mkdir(parents=True)
    for name, value in (('name', 'package-0'), ('energy_uj', 1000),
                        ('max_energy_range_uj', 10**9)):
        (zone / name).write_text(f'{value}\n')
    monkeypatch.setattr('intradp_ros.nodes.device_node.EnergyMeter',
                        lambda: power.EnergyMeter(tmp_path))
    device = graph.add(DeviceNode, '/robot', model='demo_detector', mode='local', threads=1)
    probe, reports = graph.probe(), []
    probe.create_subscription(FrameReport, 'intradp/report', reports.append, qos.REPORTS)
    camera = probe.create_publisher(Image, 'image', qos.image(True))
    assert graph.call(device.start)
    graph.wait(lambda: camera.get_subscription_count()
               and device._reports.get_subscription_count())
    (zone / 'energy_uj').write_text('2501000\n')
    for count in (1, 2):
        message = conversions.image_from_rgb(photograph, Header(frame_id=str(count)))
        camera.publish(message)
        graph.wait(lambda wanted=count: len(reports) == wanted)
    assert [r.energy_j for r in reports] == [pytest.approx(2.5), 0]
