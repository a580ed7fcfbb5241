"""Device and edge together over real DDS: every way to share a frame."""

import pytest
from rclpy.parameter import Parameter as Value
from robots import Camera, picture, started
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from intradp_ros.model import zoo
from intradp_ros.msg import LinkState
from intradp_ros.nodes import conversions, qos
from intradp_ros.nodes.device_node import DeviceNode
from intradp_ros.nodes.edge_node import EdgeNode
from intradp_ros.scenes.scene import scene
from intradp_ros.tiling import split


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
    # On a busy machine a message may have gone twice.
    sent = detector.input_bytes // 8 * (8 + report.resent)
    assert links[-1].edge_alive and links[-1].frame_bytes == sent


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
