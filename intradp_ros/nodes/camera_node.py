"""
A camera for demonstrations and tests.

It shows photographs, drawn scenes (with their ground truth), a folder, a video or a V4L2 device.
"""

import numpy as np
from rclpy.node import Node
from rclpy.parameter import Parameter as Value
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from intradp_ros.model.detector import Detections
from intradp_ros.nodes import conversions, parameters, qos
from intradp_ros.nodes.managed_node import run
from intradp_ros.nodes.parameters import Parameter
from intradp_ros.scenes import sources

TABLE = (
    Parameter('source', 'photographs', 'Where images come from', choices=tuple(sources.SOURCES)),
    Parameter('path', '', "Photographs (names of scikit-image's, comma-separated; empty: all), "
              'seed of drawn scenes, folder, video file, or V4L2 device (number or file)'),
    Parameter('rate', 10.0, 'Images a second', 'Hz', 0.1, 240.0, live=True),
    Parameter('width', 640, 'Width of the images', 'pixels', 32, 8192),
    Parameter('height', 480, 'Height of the images', 'pixels', 32, 8192),
    Parameter('encoding', 'rgb8', 'Encoding of the images',
              choices=('rgb8', 'bgr8', 'mono8', 'yuv422_yuy2'), live=True),
    Parameter('frame_id', 'camera', 'frame_id of the images'),
    Parameter('reliable', True, 'QoS of the images: reliable, or sensor data (best effort)'),
)


class CameraNode(Node):
    """Publishes `image` at a fixed rate, and `ground_truth` beside it where the image is drawn."""

    def __init__(self, overrides: dict[str, object] | None = None, **options):
        super().__init__('camera_node', parameter_overrides=[
            Value(key, value=value) for key, value in (overrides or {}).items()], **options)
        parameters.declare(self, TABLE, lambda: True)
        self._read = {p.name: self.get_parameter(p.name).value for p in TABLE}
        self._shots = sources.open_source(self._read['source'], self._read['path'],
                                           self._read['height'], self._read['width'])
        self._first = next(self._shots)  # a source that cannot be read is refused at the start
        self._publisher = self.create_publisher(
            Image, 'image', qos.camera(self._read['reliable']),
            qos_overriding_options=qos.overridable())
        self._truths = self.create_publisher(Detection2DArray, 'ground_truth', qos.DETECTIONS)
        self._timer = self.create_timer(1 / self._read['rate'], self._publish)
        self.add_post_set_parameters_callback(self._apply)

    def _apply(self, changes: list[Value]) -> None:
        self._read |= {change.name: change.value for change in changes}
        self._timer.timer_period_ns = int(1e9 / self._read['rate'])

    def _publish(self) -> None:
        shot, self._first = self._first or next(self._shots), None
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._read['frame_id'])
        if shot.boxes is not None:
            certain = Detections(shot.boxes, np.ones(len(shot.boxes), np.float32), shot.labels)
            self._truths.publish(conversions.message_from_detections(certain, header))
        self._publisher.publish(
            conversions.image_from_rgb(shot.image, header, self._read['encoding']))


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(CameraNode, args)
