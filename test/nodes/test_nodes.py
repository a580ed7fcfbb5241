"""The nodes over real DDS, in one process: topics, headers, lifecycle, parameters."""

import array
import platform
import time

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter as Value
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from intradp_ros.model import zoo
from intradp_ros.msg import FrameReport, LinkState, Plan, Tile
from intradp_ros.nodes import conversions, parameter_server, qos
from intradp_ros.nodes.camera_node import CameraNode
from intradp_ros.nodes.device_node import DeviceNode
from intradp_ros.nodes.edge_node import EdgeNode
from intradp_ros.nodes.parameter_server import ParameterServer
from intradp_ros.planning.profile import estimated
from intradp_ros.planning.profile_file import save
from intradp_ros.runtime.modes import Decision
from intradp_ros.scenes.scene import scene
from intradp_ros.tiling import split

MODEL = {'score_threshold': 0.001, 'max_detections': 50, 'threads': 1,
         'model': 'ssdlite320_mobilenet_v3_large', 'weights': 'random'}
SUCCESS = TransitionCallbackReturn.SUCCESS


class Camera:
    """Publishes one image again and again, as tests need it, and keeps what comes back."""

    def __init__(self, graph, reliable=True, kind=Image, topic='image'):
        self.graph, self.node = graph, graph.probe()
        self.detections, self.reports, self.labels = [], [], []
        policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        self.publisher = self.node.create_publisher(
            kind, topic, QoSProfile(depth=1, reliability=policy))
        for kind, topic, heard in ((Detection2DArray, 'detections', self.detections),
                                   (FrameReport, 'intradp/report', self.reports)):
            self.node.create_subscription(kind, topic, heard.append, qos.REPORTS)
        self.node.create_subscription(LabelInfo, 'label_info', self.labels.append, qos.LATCHED)
        self.stamp = 0

    def shoot(self, message, seconds=30):
        """
        Publish until an image has been reported; give its detections and report.

        Of images of this call: one of the call before may still be at work.
        """
        first, until = self.stamp + 1, time.monotonic() + seconds

        def of_this_call(heard):
            return next((m for m in heard if m.header.stamp.sec >= first), None)
        while of_this_call(self.reports) is None or of_this_call(self.detections) is None:
            assert time.monotonic() < until, 'no frame was processed'
            self.stamp += 1
            message.header.stamp.sec = self.stamp
            self.publisher.publish(message)
            time.sleep(0.15)
        return of_this_call(self.detections), of_this_call(self.reports)


def started(graph, factory, namespace='/robot', **overrides):
    node = graph.add(factory, namespace, **(MODEL | overrides))
    assert graph.call(node.start)
    return node


def picture(photograph, encoding='rgb8'):
    image = photograph[:, :450] if 'yuv' in encoding else photograph
    return conversions.image_from_rgb(image, Header(frame_id='front_camera'), encoding)


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


def test_offload_over_dds(graph, detector, photograph):
    camera = Camera(graph)
    device = started(graph, DeviceNode, deadline_ms=20000.0)
    started(graph, EdgeNode, '/edge')
    graph.wait(lambda: device._tiles.get_subscription_count())
    found, report = camera.shoot(picture(photograph))
    assert (report.source, report.fallback, report.tiles) == ('edge', False, 8)
    assert not conversions.detections_from_message(found).differs(detector.detect(photograph))
    links = []
    camera.node.create_subscription(LinkState, 'intradp/link', links.append, qos.LINK)
    graph.wait(lambda: links and links[-1].goodput_bytes_per_s > 0)
    assert links[-1].edge_alive and links[-1].frame_bytes == detector.input_bytes


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


def test_a_robot_that_leaves_is_forgotten(graph, photograph):
    camera = Camera(graph)
    device = started(graph, DeviceNode, deadline_ms=20000.0)
    edge = started(graph, EdgeNode, '/edge')
    graph.wait(lambda: device._tiles.get_subscription_count())
    camera.shoot(picture(photograph))
    assert list(edge.session.robots) == list(edge.robots) == ['/robot']
    graph.call(device.trigger_deactivate)
    graph.call(device.trigger_cleanup)
    # The node forgets it first, and the session after that on the same thread, which is not ours.
    graph.wait(lambda: not edge.robots and not edge.session.robots)


def test_another_model_on_the_edge_is_named(graph, photograph):
    camera = Camera(graph)
    device = started(graph, DeviceNode, deadline_ms=20000.0)
    edge = started(graph, EdgeNode, '/edge', seed=1)
    graph.wait(lambda: device._tiles.get_subscription_count())
    _, report = camera.shoot(picture(photograph))
    assert report.fallback and report.source == 'device'
    assert edge.session.detector.identity in report.reason


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


def test_a_split_over_dds_and_one_that_the_model_does_not_have(graph, detector, photograph):
    camera = Camera(graph)
    device = started(graph, DeviceNode, deadline_ms=20000.0, mode='split', device_share=0.25)
    started(graph, EdgeNode, '/edge')
    graph.wait(lambda: device._tiles.get_subscription_count())
    found, report = camera.shoot(picture(photograph))
    assert (report.source, report.fallback) == ('edge', False)
    assert report.device_rows > 0 and report.edge_rows == 3 * report.device_rows
    assert not conversions.detections_from_message(found).differs(detector.detect(photograph))
    result, = graph.call(device.set_parameters, [Value('merge', value='no.such.tensor')])
    assert not result.successful and 'backbone.features' in result.reason
    names = [t.name for t in split.candidates(detector.graph)]
    result, = graph.call(device.set_parameters, [Value('merge', value=names[5])])
    assert result.successful, result.reason
    _, report = camera.shoot(picture(photograph))
    assert report.device_rows + report.edge_rows == detector.graph.tensor(names[5]).rows


def test_a_classifier_over_dds(graph, photograph):
    """Whatever is split where, down to a tensor of one row: the whole model's classes."""
    model = {'model': 'mobilenet_v2', 'score_threshold': 0.005}
    classifier = zoo.build('mobilenet_v2', score_threshold=0.005)
    expected, camera = classifier.detect(photograph), Camera(graph)
    assert len(expected) == 5
    device = started(graph, DeviceNode, deadline_ms=20000.0, hedge='never', **model)
    found, report = camera.shoot(picture(photograph))
    assert report.source == 'device' and report.reason == 'no edge'
    assert not conversions.detections_from_message(found).differs(expected)
    started(graph, EdgeNode, '/edge', **model)
    graph.wait(lambda: device._tiles.get_subscription_count())
    graph.wait(lambda: camera.shoot(picture(photograph))[1].source == 'edge')
    one_row = split.candidates(classifier.graph)[-1]
    assert one_row.rows == 1
    for setting in ({'mode': 'offload'}, {'mode': 'split'},
                    {'mode': 'split', 'merge': one_row.name, 'device_share': 1.0},
                    {'mode': 'frontier', 'way': 'cut', 'merge': 'model.features.4.conv.3'},
                    {'mode': 'frontier', 'way': 'meeting'},
                    {'mode': 'frontier', 'way': 'meeting', 'merge': one_row.name}):
        values = [Value(k, value=v) for k, v in setting.items()]
        for result in graph.call(device.set_parameters, values):
            assert result.successful, result.reason
        found, report = camera.shoot(picture(photograph))
        assert (report.source, report.fallback) == ('edge', False), setting
        assert not conversions.detections_from_message(found).differs(expected)
    assert [(d.bbox.size_x, d.bbox.size_y) for d in found.detections] == \
        [pytest.approx(photograph.shape[1::-1])] * 5
    graph.wait(lambda: camera.labels)
    assert camera.labels[0].class_map[281].class_name == 'tabby'


def test_a_divided_image_over_dds_and_a_model_that_cannot(graph, photograph):
    demo = {'model': 'demo_detector', 'weights': 'DEFAULT', 'score_threshold': 0.4}
    found = zoo.build('demo_detector', 'DEFAULT', score_threshold=0.4, max_detections=50)
    drawn = scene(300).image
    camera, messages = Camera(graph), []
    device = started(graph, DeviceNode, deadline_ms=20000.0, mode='divided', device_share=0.25,
                     halo_px=480, **demo)
    edge = started(graph, EdgeNode, '/edge', **demo)
    graph.wait(lambda: device._tiles.get_subscription_count())
    camera.node.create_subscription(Detection2DArray, 'edge/detections', messages.append,
                                    qos.DETECTIONS)
    detections, report = camera.shoot(conversions.image_from_rgb(drawn, Header()))
    assert (report.way, report.source, report.exact) == ('divided', 'both', False)
    assert (report.device_rows, report.edge_rows, report.halo_px) == (120, 360, 480)
    # With all the halo that it takes only the joining could differ, and here it does not.
    assert not conversions.detections_from_message(detections).differs(
        found.detect(drawn), 1e-3, 0.1)

    def shot(**expected):
        """Shoot until the frames that were under way before are done."""
        for _ in range(20):
            detections, report = camera.shoot(conversions.image_from_rgb(drawn, Header()))
            if all(getattr(report, name) == value for name, value in expected.items()):
                return detections
        raise AssertionError(f'no report with {expected}: {report}')

    graph.wait(lambda: messages)
    assert len(messages[0].detections) <= len(detections.detections)
    # Live, visible, and back to exact.
    changes = [Value('halo_px', value=16), Value('device_share', value=1.0)]
    assert [r.successful for r in graph.call(device.set_parameters, changes)] == [True, False]
    shot(halo_px=16, exact=False, source='both')
    _, words, figures = device.figures()
    assert 'inexact: divided with a halo of 16 px' in words and figures['halo [px]'] == 16
    assert graph.call(device.set_parameters, [Value('mode', value='offload')])[0].successful
    shot(way='offload', exact=True, halo_px=0)
    # Without the edge: exact, and one message.
    graph.call(device.set_parameters, [Value('mode', value='divided'),
                                       Value('deadline_ms', value=500.0)])
    graph.call(edge.trigger_deactivate)
    detections = shot(way='divided', source='device', exact=True)
    assert not conversions.detections_from_message(detections).differs(found.detect(drawn))
    other = started(graph, DeviceNode, '/other')
    result, = graph.call(other.set_parameters, [Value('mode', value='divided')])
    assert not result.successful and 'needs all rows' in result.reason


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


def test_the_camera_node_publishes_its_source(graph):
    probe, images, truths = graph.probe(), [], []
    probe.create_subscription(Image, 'image', images.append, qos.image(True))
    probe.create_subscription(Detection2DArray, 'ground_truth', truths.append, qos.DETECTIONS)
    graph.add(CameraNode, source='scenes', width=160, height=120, rate=20.0, encoding='bgr8')
    graph.wait(lambda: len(images) > 3 and len(truths) > 3)
    assert (images[0].width, images[0].height, images[0].encoding) == (160, 120, 'bgr8')
    assert images[0].header.frame_id == 'camera' and images[0].header.stamp.sec > 0
    assert truths[0].detections


def link_state(goodput=1e6, cost_ms=1.0):
    return LinkState(goodput_bytes_per_s=goodput, message_cost_ms=cost_ms, frame_bytes=300000,
                     frame_messages=8, edge_alive=True)


def test_the_parameter_server_tunes_and_respects_an_operator(graph):
    device = started(graph, DeviceNode)
    probe, plans = graph.probe(), []
    probe.create_subscription(Plan, 'intradp/plan', plans.append, qos.LATCHED)
    publisher = probe.create_publisher(LinkState, 'intradp/link', qos.LINK)
    server = graph.add(ParameterServer, period=0.1, deadline_ms=777.0)
    device._periodic.close()  # the test speaks for the link

    def tile_count():
        return device.get_parameter('tile_count').value

    def tell(count, **link):
        def reached():
            publisher.publish(link_state(**link))
            return tile_count() == count
        graph.wait(reached)

    tell(3, cost_ms=5.0)  # 300 ms for the frame, 5 ms for a message
    tell(10)
    assert device.get_parameter('deadline_ms').value == 777.0
    graph.wait(lambda: plans and plans[-1].tile_count == 10)
    assert plans[-1].deadline_ms == 777.0 and 'MB/s' in plans[-1].reason
    graph.wait(lambda: device.session.settings.plan == plans[-1].number)
    # An operator sets it by hand: it stays, whatever the link does.
    assert graph.call(device.set_parameters, [Value('tile_count', value=20)])[0].successful
    graph.wait(lambda: server._owner.pinned)
    for _ in range(10):
        publisher.publish(link_state())
        time.sleep(0.05)
    assert tile_count() == 20
    # Setting it on the server gives it back.
    graph.call(server.set_parameters, [Value('tile_count', value=0)])
    tell(10)


@pytest.fixture
def profile_file(detector, tmp_path, monkeypatch):
    """Keep a profile where the nodes look, so that none is measured."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    profile = estimated(detector.graph, 2e9, model=detector.name, host=platform.node())
    path = tmp_path / 'profile.json'
    save(profile, path)
    return str(path)


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


def test_the_parameter_server_plans_and_the_device_keeps_its_plan(graph, profile_file):
    device = started(graph, DeviceNode, mode='neurosurgeon', profile=profile_file)
    probe, plans = graph.probe(), []
    probe.create_subscription(Plan, 'intradp/plan', plans.append, qos.LATCHED)
    publisher = probe.create_publisher(LinkState, 'intradp/link', qos.LINK)
    device._periodic.close()  # the test speaks for the link
    server = graph.add(ParameterServer, period=0.1, profile=profile_file)

    def planned(goodput, ways):
        publisher.publish(link_state(goodput))
        has = {n: device.get_parameter(n).value for n in ('way', 'merge', 'tile_count')}
        return plans and plans[-1].way == has['way'] in ways and plans[-1].merge == has['merge']
    graph.wait(lambda: planned(1e4, ('local',)))
    graph.wait(lambda: planned(5e7, ('cut', 'offload')))
    assert 'neurosurgeon' in plans[-1].reason and plans[-1].tile_count == 1
    graph.wait(lambda: device.session.settings.plan == plans[-1].number)
    assert device.session.settings.way == plans[-1].way
    # What an operator sets stays, and the rest goes on being planned.
    assert graph.call(device.set_parameters, [Value('tile_count', value=5)])[0].successful
    graph.wait(lambda: server._owner.pinned)
    graph.wait(lambda: planned(1e4, ('local',)))
    assert device.get_parameter('tile_count').value == 5
    # It may die: the device has its plan.
    graph.call(server.destroy_node)
    graph.nodes.remove(server)
    assert device.session.settings.way == 'local'


class Plans:
    """A device, the test's word for its link, and what the parameter server says and does."""

    def __init__(self, graph, **device):
        self.graph, self.plans, self.said = graph, [], {}
        self.options = device
        probe = graph.probe()
        probe.create_subscription(Plan, 'intradp/plan', self.plans.append, qos.LATCHED)
        probe.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)
        self.link = probe.create_publisher(LinkState, 'intradp/link', qos.LINK)
        self.start_device()

    def start_device(self):
        self.device = started(self.graph, DeviceNode, **self.options)
        self.device._periodic.close()

    def end(self, node):
        """Take a node away as if its process had died."""
        self.graph.nodes.remove(node)
        self.graph.call(getattr(node, 'close', lambda: None))
        self.graph.executor.remove_node(node)
        self.graph.call(node.destroy_node)

    def _hear(self, array):
        self.said |= {s.name.rpartition('/')[2]: s for s in array.status}

    def figures(self):
        """Summary and figures of the server's diagnostics, as far as they have come."""
        said = self.said.get('parameter_server: plan', DiagnosticStatus())
        return said.message, {v.key: v.value for v in said.values}

    def tile_count(self):
        return self.device.get_parameter('tile_count').value

    def tell(self, count, **link):
        """Say how the link is until the device has so many tiles."""
        def reached():
            self.link.publish(link_state(**link))
            return self.tile_count() == count
        self.graph.wait(reached)


def test_a_link_that_trembles_changes_no_plan_and_reasons_are_in_diagnostics(graph):
    system = Plans(graph)
    server = graph.add(ParameterServer, period=0.1)
    system.tell(3, cost_ms=5.0)
    system.tell(10)
    graph.wait(lambda: system.plans and system.plans[-1].tile_count == 10)
    number = system.plans[-1].number
    for i in range(40):
        system.link.publish(link_state(1e6 * (0.85, 1.15)[i % 2], cost_ms=(1.3, 1.6)[i % 2]))
        time.sleep(0.05)
    assert system.tile_count() == 10 and system.plans[-1].number == number == server._number
    graph.wait(lambda: 'MB/s' in system.figures()[0])
    assert graph.call(system.device.set_parameters, [Value('tile_count', value=7)])[0].successful
    graph.wait(lambda: system.figures()[1].get('pinned by an operator: tile_count') == '7')


def test_the_parameter_server_dies_and_another_goes_on(graph):
    system = Plans(graph)
    server = graph.add(ParameterServer, period=0.1)
    system.tell(3, cost_ms=5.0)
    graph.wait(lambda: system.plans and system.plans[-1].tile_count == 3)
    system.end(server)
    for _ in range(5):
        system.link.publish(link_state())
        time.sleep(0.05)
    assert system.tile_count() == 3  # nobody decides: the last plan stays
    graph.add(ParameterServer, period=0.1)
    system.tell(10)
    graph.wait(lambda: system.plans[-1].tile_count == 10)


def test_a_device_that_comes_back_is_given_its_plan_again(graph):
    system = Plans(graph)
    server = graph.add(ParameterServer, period=0.1, deadline_ms=777.0)
    system.tell(3, cost_ms=5.0)
    assert graph.call(system.device.set_parameters, [Value('codec', value='zlib')])[0].successful
    graph.wait(lambda: server._owner.pinned)
    system.end(system.device)
    graph.wait(lambda: 'not answer' in system.figures()[0])
    assert server._pending is None
    system.start_device()
    system.tell(3, cost_ms=5.0)
    assert system.device.get_parameter('deadline_ms').value == 777.0
    assert not server._owner.pinned  # what the operator had set is gone


def test_a_request_that_is_never_answered_is_made_again(graph, monkeypatch):
    monkeypatch.setattr(parameter_server, 'ANSWER', 0.3)
    system = Plans(graph)
    server = graph.add(ParameterServer, period=0.1)
    server._pending, server._asked = Future(), time.monotonic()  # its device was killed
    system.tell(3, cost_ms=5.0)


@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_tiles_never_raise_out_of_the_callback(edge_alone, data):
    """Fields as random as the message type lets them be."""
    node, identity = edge_alone
    def bits(n):
        return data.draw(st.one_of(st.integers(0, 3), st.integers(0, 2**n - 1)))
    message = Tile(
        header=Header(frame_id=data.draw(st.text(max_size=4))),
        model=data.draw(st.sampled_from([identity, '', 'x#y'])), session=bits(64), frame=bits(32),
        plan=bits(32), index=bits(16), tensor=bits(16), row_begin=bits(16), row_end=bits(16),
        codec=bits(8), image_height=bits(16), image_width=bits(16),
        cut_row=bits(16), halo=bits(16),
        data=array.array('B', data.draw(st.binary(max_size=3000))))
    node._on_tile('/robot', message, {'received_timestamp': data.draw(st.sampled_from(
        [0, time.time_ns(), 2**62]))})


@pytest.fixture(scope='module')
def edge_alone():
    import rclpy
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=99)
    node = EdgeNode(overrides=MODEL, context=context)
    assert node.start()
    yield node, node.session.detector.identity
    node.close()
    node.destroy_node()
    context.try_shutdown()
