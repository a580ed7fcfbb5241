"""What tests of the nodes share: a camera that shoots, nodes that are started, a link's state."""

import time

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from intradp_ros.msg import FrameReport, LinkState
from intradp_ros.nodes import conversions, qos
from intradp_ros.nodes.device_node import DeviceNode

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
    """Start a node; a device does what the test says, and not what it plans by itself."""
    by_hand = {'mode': 'offload'} if factory is DeviceNode else {}
    node = graph.add(factory, namespace, **(MODEL | by_hand | overrides))
    assert graph.call(node.start)
    return node


def picture(photograph, encoding='rgb8'):
    image = photograph[:, :450] if 'yuv' in encoding else photograph
    return conversions.image_from_rgb(image, Header(frame_id='front_camera'), encoding)


def link_state(goodput=1e6, cost_ms=1.0):
    return LinkState(goodput_bytes_per_s=goodput, message_cost_ms=cost_ms, frame_bytes=300000,
                     frame_messages=8, edge_alive=True)
