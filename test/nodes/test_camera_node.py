"""The camera node over real DDS."""

from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from intradp_ros.nodes import qos
from intradp_ros.nodes.camera_node import CameraNode


def test_the_camera_node_publishes_its_source(graph):
    probe, images, truths = graph.probe(), [], []
    probe.create_subscription(Image, 'image', images.append, qos.image(True))
    probe.create_subscription(Detection2DArray, 'ground_truth', truths.append, qos.DETECTIONS)
    graph.add(CameraNode, source='scenes', width=160, height=120, rate=20.0, encoding='bgr8')
    graph.wait(lambda: len(images) > 3 and len(truths) > 3)
    assert (images[0].width, images[0].height, images[0].encoding) == (160, 120, 'bgr8')
    assert images[0].header.frame_id == 'camera' and images[0].header.stamp.sec > 0
    assert truths[0].detections
