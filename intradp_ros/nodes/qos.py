"""Every QoS profile of the package, with the reason for each."""

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions


def _profile(reliable: bool, depth: int, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def image(reliable: bool) -> QoSProfile:
    """
    Images: only the newest counts. Reliable where the camera is: a best-effort reader loses
    fragments.
    """
    return _profile(reliable, 1)


def camera(reliable: bool) -> QoSProfile:
    """Publish images so that a reader who wants every one can have them (a recorder, the demo)."""
    return _profile(reliable, 10)


def tiles(reliable: bool) -> QoSProfile:
    """
    Tiles: as deep as a frame has messages, or the middleware drops what the sender hands over
    in one go.
    """
    return _profile(reliable, 256)


# Acknowledgements: the next one says all that a lost one said.
ACKS = _profile(False, 16)
# Detections: whoever consumes them wants every one. What is lost when a peer dies may be sent
# again only at the next heartbeat (3 s in Fast DDS), so the publisher keeps what a fast camera
# makes till then.
DETECTIONS = _profile(True, 100)
# Reports: one a frame, for logs and tests that count, and for the same reason.
REPORTS = _profile(True, 100)
# The plan and the labels: whoever comes late gets the last one.
LATCHED = _profile(True, 1, latched=True)
# The link's state: only the newest counts.
LINK = _profile(True, 1)


def overridable() -> QoSOverridingOptions:
    """
    Let users override history and depth of images and tiles (`qos_overrides` parameters).

    Reliability is not among them: subscribers follow their publisher, publishers have a parameter
    of their own. An override would be declared with the first value and then win over what is
    followed.
    """
    return QoSOverridingOptions([QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH])
