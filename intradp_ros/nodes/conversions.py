"""Between ROS messages and the ROS-free types of the package: free functions, one pair a type."""

from array import array
from dataclasses import fields

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesisWithPose,
    VisionClass,
)

from intradp_ros import msg as messages
from intradp_ros.errors import ImageError, TileError
from intradp_ros.model.detector import Detections
from intradp_ros.planning.link import LinkEstimate
from intradp_ros.runtime.wire import Ack, AckState, Report, Stamp, Tile

try:
    from cv_bridge import CvBridge
except ImportError:
    CvBridge = None

# What no frame takes on an edge: an hour. Rates, and how long to wait, are worked out from it.
LONGEST_MS = 3.6e6


# -- headers -----------------------------------------------------------------------------------

def stamp_from(header: Header) -> Stamp:
    """Read a header."""
    return Stamp(header.stamp.sec, header.stamp.nanosec, header.frame_id)


def header_from(stamp: Stamp) -> Header:
    """Write a header."""
    header = Header(frame_id=stamp.frame_id)
    header.stamp.sec, header.stamp.nanosec = stamp.sec, stamp.nanosec
    return header


def age(header: Header, now: Time) -> float:
    """
    Seconds from a header's stamp to now, whatever stands there; rclpy's Time refuses a negative
    stamp.
    """
    return (now.nanoseconds - header.stamp.sec * 10**9 - header.stamp.nanosec) / 1e9


# -- images ------------------------------------------------------------------------------------

def rgb_from_image(image: Image) -> np.ndarray:
    """
    Convert any common encoding (rgb8, bgr8, mono8, bayer, yuv422 ...) to uint8 RGB (H, W, 3).

    Through cv_bridge where it is installed, else rosbags-image.

    :raises ImageError: when the encoding is unknown or the data does not fit the size.
    """
    expected = image.step * image.height
    if image.height < 1 or image.width < 1 or len(image.data) < expected or not expected:
        raise ImageError(f'image of {image.width}x{image.height} pixels with step {image.step} '
                         f'needs {expected} bytes, got {len(image.data)}')
    try:
        if CvBridge is not None:
            rgb = CvBridge().imgmsg_to_cv2(image, 'rgb8')
        else:
            from rosbags.image import message_to_cvimage
            rgb = message_to_cvimage(_without_row_padding(image), 'rgb8')
    except Exception as error:  # both libraries raise many kinds
        raise ImageError(f'cannot convert encoding {image.encoding!r} of {image.width}x'
                         f'{image.height} pixels to rgb8: {error}') from error
    return np.ascontiguousarray(rgb)


def _without_row_padding(image: Image) -> Image:
    """Cut off what `step` has beyond the pixels of a row: rosbags-image takes it for pixels."""
    from rosbags.image.image import to_cvtype
    bits, _, _, channels = to_cvtype(image.encoding)
    used = image.width * channels * bits // 8
    if used > image.step:
        raise ImageError(f'step {image.step} is less than the {used} bytes of a row')
    if used == image.step:
        return image
    rows = np.frombuffer(image.data, np.uint8)[:image.height * image.step]
    return Image(header=image.header, height=image.height, width=image.width, step=used,
                 encoding=image.encoding, is_bigendian=image.is_bigendian,
                 data=bytes_field(np.ascontiguousarray(rows.reshape(image.height, -1)[:, :used])))


def rgb_from_compressed(image: CompressedImage) -> np.ndarray:
    """Decode a CompressedImage (JPEG, PNG) to uint8 RGB (H, W, 3); raises ImageError."""
    data = np.frombuffer(image.data, np.uint8)
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error as error:
        raise ImageError(f'cannot decode {len(data)} bytes of {image.format!r}: '
                         f'{error}') from error
    if bgr is None:
        raise ImageError(f'cannot decode {len(data)} bytes of {image.format!r}')
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def image_from_rgb(rgb: np.ndarray, header: Header, encoding: str = 'rgb8') -> Image:
    """Write uint8 RGB (H, W, 3) as an Image in one of 'rgb8', 'bgr8', 'mono8', 'yuv422_yuy2'."""
    convert = {'rgb8': None, 'bgr8': cv2.COLOR_RGB2BGR, 'mono8': cv2.COLOR_RGB2GRAY,
               'yuv422_yuy2': cv2.COLOR_RGB2YUV_YUY2}
    if encoding not in convert:
        raise ImageError(f'cannot write encoding {encoding!r}; there are: {", ".join(convert)}')
    if convert[encoding] is not None:
        rgb = cv2.cvtColor(rgb, convert[encoding])
    height, width = rgb.shape[:2]
    data = np.ascontiguousarray(rgb)
    return Image(header=header, height=height, width=width, encoding=encoding,
                 step=data.nbytes // height, data=bytes_field(data))


def bytes_field(data: bytes | np.ndarray, code: str = 'B') -> array:
    """
    Copy bytes into what rclpy takes for a field of numbers without looking at each one.

    :param code: of their type in module `array`: 'B' for uint8[].
    """
    field = array(code)
    field.frombytes(memoryview(data).cast('B') if len(data) else b'')
    return field


# -- detections --------------------------------------------------------------------------------

def message_from_detections(detections: Detections, header: Header) -> Detection2DArray:
    """Write detections; class_id is the class number, whose name LabelInfo holds."""
    return Detection2DArray(header=header, detections=[
        _detection(box, score, label, header) for box, score, label in zip(
            detections.boxes.tolist(), detections.scores.tolist(), detections.labels.tolist())])


def _detection(box: tuple[float, float, float, float], score: float, label: int, header: Header
               ) -> Detection2D:
    # Filled in, not put together: constructors of messages make a default of every field, also of
    # those that they are given, and a pose with its 36 covariances is most of a detection.
    result, found = ObjectHypothesisWithPose(), Detection2D(header=header)
    result.hypothesis.class_id, result.hypothesis.score = str(label), score
    found.results = [result]
    left, top, right, bottom = box
    center = found.bbox.center.position
    center.x, center.y = (left + right) / 2, (top + bottom) / 2
    found.bbox.size_x, found.bbox.size_y = right - left, bottom - top
    return found


def detections_from_message(message: Detection2DArray) -> Detections:
    """
    Read detections that `message_from_detections` wrote.

    :raises TileError: when an object has no hypothesis, a class that is not a uint16 number
        (VisionClass.class_id), or a box or score that cannot be.
    """
    boxes, scores, labels = [], [], []
    for found in message.detections:
        if not found.results:
            raise TileError(f'detection {len(boxes)} has no hypothesis')
        best = found.results[0].hypothesis
        if not best.class_id.isdecimal() or len(best.class_id) > 5:
            raise TileError(f'class {best.class_id[:32]!r} is not a number of at most 5 digits')
        center = found.bbox.center.position
        half_x, half_y = found.bbox.size_x / 2, found.bbox.size_y / 2
        boxes.append((center.x - half_x, center.y - half_y, center.x + half_x, center.y + half_y))
        scores.append(best.score)
        labels.append(int(best.class_id))
    return _plausible(np.array(boxes, float).reshape(-1, 4), np.array(scores, float),
                      np.array(labels, np.int64))


def label_info(labels: tuple[str, ...], threshold: float, header: Header) -> LabelInfo:
    """Say what class numbers mean."""
    return LabelInfo(header=header, threshold=float(threshold), class_map=[
        VisionClass(class_id=i, class_name=name) for i, name in enumerate(labels)])


# -- tiles and acknowledgements ----------------------------------------------------------------

_TILE_NUMBERS = ('session', 'frame', 'plan', 'index', 'tensor', 'row_begin', 'row_end', 'codec',
                 'image_height', 'image_width', 'cut_row', 'halo')


def message_from_tile(tile: Tile) -> messages.Tile:
    """Write a tile."""
    return messages.Tile(header=header_from(tile.stamp), model=tile.model,
                         data=bytes_field(tile.data),
                         **{name: getattr(tile, name) for name in _TILE_NUMBERS})


def tile_from_message(message: messages.Tile) -> Tile:
    """Read a tile; its data is a view into the message."""
    return Tile(stamp=stamp_from(message.header), model=message.model,
                data=memoryview(message.data),
                **{name: getattr(message, name) for name in _TILE_NUMBERS})


def message_from_ack(ack: Ack) -> messages.TileAck:
    """Write an acknowledgement."""
    return messages.TileAck(**{f.name: getattr(ack, f.name) for f in fields(Ack)
                               if f.name != 'state'}, state=int(ack.state))


def ack_from_message(message: messages.TileAck) -> Ack:
    """Read an acknowledgement; raises TileError for a state or a time that cannot be."""
    try:
        state = AckState(message.state)
    except ValueError:
        raise TileError(f'acknowledgement of frame {message.frame} has unknown state '
                        f'{message.state}') from None
    for name in ('receive_ms', 'wait_ms', 'compute_ms', 'postprocess_ms'):
        if not abs(getattr(message, name)) <= LONGEST_MS:  # nor may it be no number
            raise TileError(f'acknowledgement of frame {message.frame} has {name} '
                            f'{getattr(message, name)}')
    return Ack(**{f.name: getattr(message, f.name) for f in fields(Ack) if f.name != 'state'},
               state=state)


def message_from_edge_detections(detections: Detections, header: Header
                                 ) -> messages.EdgeDetections:
    """Write detections as the edge sends them to the device."""
    return messages.EdgeDetections(
        header=header,
        boxes=bytes_field(np.ascontiguousarray(detections.boxes, np.float32), 'f'),
        scores=bytes_field(np.ascontiguousarray(detections.scores, np.float32), 'f'),
        labels=bytes_field(np.ascontiguousarray(detections.labels, np.uint16), 'H'))


def edge_detections_from_message(message: messages.EdgeDetections) -> Detections:
    """
    Read what the edge found; raises TileError for numbers of figures that do not fit each other,
    and for a box or score that cannot be.
    """
    boxes, scores = (np.array(values, np.float32) for values in (message.boxes, message.scores))
    labels = np.array(message.labels, np.int64)
    if not len(boxes) == 4 * len(scores) == 4 * len(labels):
        raise TileError(f'{len(boxes)} edges of boxes, {len(scores)} scores and {len(labels)} '
                        'classes do not belong together')
    return _plausible(boxes.reshape(-1, 4), scores, labels)


def _plausible(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> Detections:
    """Give detections as they came; raises TileError for a box or score that cannot be."""
    # Not a number compares with nothing. Images have at most 65535 pixels a side.
    wrong = ~((np.abs(boxes) <= 65535).all(1) & (scores >= 0) & (scores <= 1))
    if wrong.any():
        first = int(wrong.argmax())
        raise TileError(f'detection {first} has box {boxes[first].tolist()} and score '
                        f'{scores[first]}')
    return Detections(boxes.astype(np.float32), scores.astype(np.float32), labels)


# -- reports -----------------------------------------------------------------------------------

def message_from_report(report: Report) -> messages.FrameReport:
    """Write a report."""
    plain = {f.name: getattr(report, f.name) for f in fields(Report) if f.name != 'stamp'}
    # A reason that quotes the edge's own is longer than the field that the edge's came in.
    plain['reason'] = plain['reason'][:512]
    return messages.FrameReport(header=header_from(report.stamp), **plain)


def message_from_link(link: LinkEstimate, header: Header, edge_alive: bool, answered: int,
                      unanswered: int, model: str = '',
                      edge_seconds: float = 0.0) -> messages.LinkState:
    """Write the link's state."""
    return messages.LinkState(
        header=header, model=model, edge_seconds=edge_seconds, edge_alive=edge_alive,
        goodput_bytes_per_s=link.goodput,
        round_trip_ms=link.round_trip * 1e3, message_cost_ms=link.message_cost * 1e3,
        loss=link.loss, blocked=link.blocked, frame_bytes=link.frame_bytes,
        frame_messages=link.frame_messages, answered=answered, unanswered=unanswered)


def link_from_message(message: messages.LinkState) -> LinkEstimate:
    """Read the link's state."""
    return LinkEstimate(
        message.goodput_bytes_per_s, message.round_trip_ms / 1e3, message.message_cost_ms / 1e3,
        message.loss, message.blocked, message.frame_bytes, message.frame_messages)


def diagnostic(name: str, hardware_id: str, level: bytes, summary: str,
               figures: dict[str, object]) -> DiagnosticStatus:
    """Write one entry of /diagnostics."""
    return DiagnosticStatus(
        level=level, name=name, hardware_id=hardware_id, message=summary,
        values=[KeyValue(key=key, value=f'{value:.4g}' if isinstance(value, float) else str(value))
                for key, value in figures.items()])
