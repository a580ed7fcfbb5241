"""The device node over real DDS: images, parameters, lifecycle, what it publishes."""

import time

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter as Value
from robots import MODEL, SUCCESS, Camera, picture, started
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from intradp_ros.msg import LinkState
from intradp_ros.nodes import conversions, qos
from intradp_ros.nodes.device_node import DeviceNode
from intradp_ros.nodes.edge_node import EdgeNode
from intradp_ros.runtime.modes import Decision


def test_local_detections_carry_the_images_header_and_pixels(graph, detector, photograph):
    camera = Camera(graph)
    device = started(graph, DeviceNode, mode='local')
    found, report = camera.shoot(picture(photograph))
    assert found.header == report.header and found.header.frame_id == 'front_camera'
    assert not conversions.detections_from_message(found).differs(detector.detect(photograph))
    assert (report.mode, report.source, report.fallback) == ('local', 'device', False)
    graph.wait(lambda: camera.labels)
    assert camera.labels[0].class_map[3].class_name == detector.labels[3]
    assert graph.call(device.trigger_deactivate) is SUCCESS


@pytest.mark.parametrize('encoding', ['bgr8', 'mono8', 'yuv422_yuy2'])
def test_common_encodings(graph, photograph, detector, encoding):
    camera, message = Camera(graph), picture(photograph, encoding)
    started(graph, DeviceNode, mode='local')
    found, _ = camera.shoot(message)
    expected = detector.detect(conversions.rgb_from_image(message))
    assert not conversions.detections_from_message(found).differs(expected)


def test_compressed_images(graph, photograph):
    camera = Camera(graph, kind=CompressedImage, topic='image/compressed')
    started(graph, DeviceNode, mode='local', image_transport='compressed')
    data = cv2.imencode('.png', photograph[..., ::-1])[1].tobytes()
    found, _ = camera.shoot(CompressedImage(format='png', data=data))
    assert found.detections


@pytest.mark.parametrize('reliable', [True, False], ids=['reliable', 'best effort'])
def test_a_camera_of_either_reliability_is_heard(graph, photograph, reliable):
    camera = Camera(graph, reliable)
    started(graph, DeviceNode, mode='local')
    small = np.ascontiguousarray(photograph[:60, :80])
    assert camera.shoot(conversions.image_from_rgb(small, Header()))


def test_diagnostics_say_how_fast_and_by_which_way(graph, photograph):
    camera, heard = Camera(graph), {}

    def hear(array):
        for status in array.status:
            heard[status.name] = {v.key: v.value for v in status.values}
    camera.node.create_subscription(DiagnosticArray, '/diagnostics', hear, 10)
    device = started(graph, DeviceNode, deadline_ms=20000.0)
    started(graph, EdgeNode, '/edge')
    graph.wait(lambda: device._tiles.get_subscription_count())
    for _ in range(3):
        camera.shoot(picture(photograph))
    # An answer that was late for its deadline is published all the same, and counted.
    graph.call(device.set_parameters, [Value('mode', value='local'),
                                       Value('deadline_ms', value=1.0)])
    camera.shoot(picture(photograph))

    def figure(node, key):
        return float(heard.get(node, {}).get(key, 0))
    robot, edge = 'robot/device_node: work', 'edge/edge_node: work'
    graph.wait(lambda: figure(robot, 'deadline misses') and figure(edge, '/robot frames') >= 3)
    assert figure(robot, 'frames by offload, from the edge') >= 3
    assert figure(robot, 'frames by local, from the device') >= 1
    for node, what in ((robot, 'latency'), (edge, 'compute'), (edge, '/robot compute')):
        assert 0 < figure(node, f'{what} p50 [ms]') <= figure(node, f'{what} p95 [ms]')
    for node, what in ((robot, 'frame'), (edge, 'frame'), (edge, '/robot frame')):
        assert f'{what} rate [frames/s]' in heard[node]


def test_what_is_known_of_the_link_is_told_while_somebody_listens(graph):
    probe, made, diagnostics, heard = graph.probe(), [], [], []
    device = started(graph, DeviceNode, mode='local')
    publisher, publish = device._links, device._links.publish
    publisher.publish = lambda message: (made.append(message), publish(message))
    probe.create_subscription(DiagnosticArray, '/diagnostics', diagnostics.append, 10)
    graph.wait(lambda: len(diagnostics) >= 3)  # one a second
    assert not made
    probe.create_subscription(LinkState, 'intradp/link', heard.append, qos.LINK)
    graph.wait(lambda: heard and made)


def test_live_parameters_and_those_that_are_not(graph, photograph):
    camera = Camera(graph)
    device = started(graph, DeviceNode, mode='local')
    results = graph.call(device.set_parameters, [
        Value('mode', value='offload'), Value('deadline_ms', value=1234.0),
        Value('mode', value='teleport'), Value('tile_count', value=0),
        Value('model', value='ssd300_vgg16')])
    assert [r.successful for r in results] == [True, True, False, False, False]
    assert 'deactivate' in results[-1].reason and 'offload' in results[2].reason
    _, report = camera.shoot(picture(photograph))
    assert report.deadline_ms == 1234.0 and report.reason == 'no edge'


def test_lifecycle_frees_and_comes_back(graph, photograph):
    camera = Camera(graph)
    device = graph.add(DeviceNode, mode='local', autostart=False, **MODEL)
    assert graph.call(device.start) and device.session is None  # nothing happens by itself
    for _ in range(2):
        assert graph.call(device.trigger_configure) is SUCCESS and device.session is None
        assert graph.call(device.trigger_activate) is SUCCESS
        camera.shoot(picture(photograph))
        assert graph.call(device.trigger_deactivate) is SUCCESS and device.session is None
        assert graph.call(device.trigger_cleanup) is SUCCESS


def test_a_wrong_model_file_leaves_the_node_inactive(graph):
    device = graph.add(DeviceNode, **(MODEL | {'weights': '/nowhere/model.pt'}))
    assert not graph.call(device.start)
    assert not device.active and device.session is None
    graph.call(device.set_parameters, [Value('weights', value='random')])
    assert graph.call(device.trigger_activate) is SUCCESS


def test_pictures_are_drawn_only_for_who_looks(graph, photograph):
    camera = Camera(graph)
    started(graph, DeviceNode, mode='local')
    camera.shoot(picture(photograph))
    seen = []
    camera.node.create_subscription(Image, 'detections/image', seen.append, qos.image(True))
    until = time.monotonic() + 20
    while not seen and time.monotonic() < until:
        camera.shoot(picture(photograph))
    assert (seen[0].height, seen[0].width) == photograph.shape[:2]
    assert not np.array_equal(conversions.rgb_from_image(seen[0]), photograph)


def test_the_device_plans_by_itself(graph, detector, photograph, profile_file):
    camera = Camera(graph)
    device = started(graph, DeviceNode, mode='frontier', profile=profile_file,
                     deadline_ms=20000.0)
    started(graph, EdgeNode, '/edge')
    graph.wait(lambda: device._tiles.get_subscription_count())
    until = time.monotonic() + 60
    while device._decision is None or 'MB/s' not in device._decision.reason:
        assert time.monotonic() < until
        found, report = camera.shoot(picture(photograph))
        expected = detector.detect(photograph)
        assert not conversions.detections_from_message(found).differs(expected)
        assert report.mode == 'frontier' and report.source in ('device', 'edge')
    assert device.session.settings.way == device._decision.way
    # By hand again: at once.
    assert graph.call(device.set_parameters, [Value('mode', value='local')])[0].successful
    assert camera.shoot(picture(photograph))[1].way == 'local'


def test_no_frame_is_lossy_after_that_is_no_longer_allowed(graph, detector):
    """A plan outlives the mode that it was made for by up to a second."""
    device = started(graph, DeviceNode, mode='local')
    device._decision = Decision('offload', tile_count=4, codec='jpeg')

    def codec(**changes):
        return device._settings(detector, changes).codec
    assert codec(mode='auto', max_map_drop=0.01) == 'jpeg'
    assert codec(mode='auto', max_map_drop=0.0) == 'uint8'
    assert codec(mode='frontier', max_map_drop=0.01) == 'uint8'
    device._decision = Decision('offload', tile_count=4, codec='zlib')
    assert codec(mode='auto') == 'zlib' and codec(mode='cic') == 'uint8'
