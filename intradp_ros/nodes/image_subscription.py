"""The subscription to a camera, whatever its reliability."""

from collections.abc import Callable

from rclpy.qos import ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from intradp_ros.nodes import events, qos
from intradp_ros.nodes.managed_node import ManagedNode
from intradp_ros.nodes.receiver import Apart, Receiver

TOPICS = {'raw': (Image, 'image'), 'compressed': (CompressedImage, 'image/compressed')}


class ImageSubscription:
    """
    Subscribes as the camera publishes: reliable if every publisher is, else best effort.

    A reliable reader of a best-effort camera would hear nothing at all.

    :param transport: of `TOPICS`.
    :param heard: takes an image and its MessageInfo, on a thread of the subscription's own.
    :param failed: told of an exception of `heard`.
    """

    def __init__(self, node: ManagedNode, transport: str, heard: Callable[..., None],
                 failed: Callable[[Exception], None]):
        self._node, self._heard, self._failed = node, heard, failed
        self._kind, self._topic = TOPICS[transport]
        # As long as there is no camera: as every one can be heard.
        self._listen(self._cameras_reliable() or False)

    def follow(self) -> None:
        """Look whether cameras publish otherwise by now; from any thread."""
        reliable = self._cameras_reliable()
        if reliable not in (None, self._reliable):
            self._node.post(lambda: self._listen_again(reliable))

    def close(self) -> None:
        """Hear no more images; on the executor's thread, as it destroys the subscription."""
        self._receiver.close()
        self._node.destroy_subscription(self._subscription)

    def _cameras_reliable(self) -> bool | None:
        """Whether every publisher is reliable; None while there is none."""
        cameras = self._node.get_publishers_info_by_topic(
            self._node.resolve_topic_name(self._topic))
        return all(c.qos_profile.reliability is ReliabilityPolicy.RELIABLE
                   for c in cameras) if cameras else None

    def _listen_again(self, reliable: bool) -> None:
        if reliable != self._reliable:  # the call before may have done it
            self.close()
            self._listen(reliable)

    def _listen(self, reliable: bool) -> None:
        self._reliable = reliable
        self._subscription = self._node.create_subscription(
            self._kind, self._topic, self._heard,
            qos.image(True) if reliable else qos_profile_sensor_data, callback_group=Apart(),
            event_callbacks=events.of_subscription(self._node, self._topic),
            qos_overriding_options=qos.overridable())
        self._receiver = Receiver(self._node, [self._subscription], self._failed)
