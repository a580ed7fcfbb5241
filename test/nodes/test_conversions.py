"""Messages and plain types are two forms of the same."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from intradp_ros import msg as messages
from intradp_ros.errors import ImageError, TileError
from intradp_ros.model.detector import Detections
from intradp_ros.nodes import conversions
from intradp_ros.planning.link import LinkEstimate
from intradp_ros.runtime.wire import Ack, AckState, Report, Stamp, Tile

STAMP = Stamp(12, 34, 'camera')
U16, U32, U64 = (st.integers(0, 2**n - 1) for n in (16, 32, 64))


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


words = st.text(st.characters(codec='ascii', exclude_characters='\0'), max_size=40)


@given(st.builds(Tile, stamp=st.just(STAMP), model=words,
                 session=U64, frame=U32, plan=U32, index=U16, tensor=U16, row_begin=U16,
                 row_end=U16, codec=st.integers(0, 255), image_height=U16, image_width=U16,
                 data=st.binary(max_size=500), cut_row=U16, halo=U16))
def test_tiles(tile):
    back = conversions.tile_from_message(over_the_wire(conversions.message_from_tile(tile)))
    assert dataclasses.replace(back, data=bytes(back.data)) == tile


@given(st.builds(Ack, session=U64, frame=U32, next=U16, bitmap=U64, messages=U16, bytes=U32,
                 state=st.sampled_from(AckState), receive_ms=st.just(0.5), wait_ms=st.just(1.5),
                 compute_ms=st.just(2.0), postprocess_ms=st.just(0.5), reason=st.just('no')))
def test_acks(ack):
    assert conversions.ack_from_message(
        over_the_wire(conversions.message_from_ack(ack))) == ack


def test_an_unknown_state_is_refused():
    with pytest.raises(TileError, match='77'):
        conversions.ack_from_message(messages.TileAck(state=77))


@pytest.mark.parametrize('name', ['receive_ms', 'wait_ms', 'compute_ms', 'postprocess_ms'])
@pytest.mark.parametrize('value', [math.nan, math.inf, 3e38, -3e38, 4e6])
def test_times_that_cannot_be_are_refused(name, value):
    """Of a rate made from them a sender would wait for longer than a clock can count."""
    with pytest.raises(TileError, match=f'frame 7 has {name}'):
        conversions.ack_from_message(messages.TileAck(frame=7, **{name: value}))


@given(n=st.integers(0, 20), seed=st.integers(0, 99))
def test_detections(n, seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 5000, (n, 2)).astype(np.float32)
    found = Detections(np.hstack([corner, corner + rng.uniform(1, 900, (n, 2))])
                       .astype(np.float32), rng.uniform(0, 1, n).astype(np.float32),
                       rng.integers(0, 90, n))
    message = over_the_wire(conversions.message_from_detections(
        found, conversions.header_from(STAMP)))
    assert conversions.stamp_from(message.header) == STAMP
    assert all(conversions.stamp_from(d.header) == STAMP for d in message.detections)
    back = conversions.detections_from_message(message)
    assert np.allclose(back.boxes, found.boxes, atol=1e-3)
    assert np.array_equal(back.scores, found.scores)
    assert np.array_equal(back.labels, found.labels)


@given(n=st.integers(0, 20), seed=st.integers(0, 99))
def test_what_the_edge_found_comes_as_it_was(n, seed):
    rng = np.random.default_rng(seed)
    found = Detections(rng.uniform(-9, 5000, (n, 4)).astype(np.float32),
                       rng.uniform(0, 1, n).astype(np.float32), rng.integers(0, 65536, n))
    message = over_the_wire(conversions.message_from_edge_detections(
        found, conversions.header_from(STAMP)))
    assert conversions.stamp_from(message.header) == STAMP
    back = conversions.edge_detections_from_message(message)
    assert np.array_equal(back.boxes, found.boxes) and back.boxes.shape == (n, 4)
    assert np.array_equal(back.scores, found.scores)
    assert np.array_equal(back.labels, found.labels)


@pytest.mark.parametrize('spoilt, words', [
    ({'boxes': [1.0] * 7}, '7 edges of boxes, 2 scores and 2 classes'),
    ({'scores': [0.5]}, '8 edges of boxes, 1 scores'), ({'labels': []}, 'and 0 classes'),
    ({'scores': [0.5, 1.5]}, 'detection 1 has box .* score 1.5'),
    ({'scores': [float('nan'), 0.5]}, 'detection 0'),
    ({'boxes': [1.0] * 6 + [7e4, 1.0]}, 'detection 1'),
    ({'boxes': [float('inf')] + [1.0] * 7}, 'detection 0')])
def test_what_the_edge_cannot_have_found_is_refused(spoilt, words):
    whole = {'boxes': [1.0] * 8, 'scores': [0.5, 0.5], 'labels': [1, 2]}
    assert len(conversions.edge_detections_from_message(messages.EdgeDetections(**whole))) == 2
    with pytest.raises(TileError, match=words):
        conversions.edge_detections_from_message(messages.EdgeDetections(**whole | spoilt))


def test_broken_detections_are_refused():
    message = conversions.message_from_detections(
        Detections(np.ones((1, 4), np.float32), np.ones(1, np.float32), np.ones(1, int)), Header())
    message.detections[0].results[0].hypothesis.class_id = 'cat'
    with pytest.raises(TileError, match='cat'):
        conversions.detections_from_message(message)
    message.detections[0].results = []
    with pytest.raises(TileError, match='hypothesis'):
        conversions.detections_from_message(message)


@pytest.mark.parametrize('encoding, tolerance', [
    ('rgb8', 0), ('bgr8', 0), ('mono8', 1), ('yuv422_yuy2', 12)])
def test_images(photograph, encoding, tolerance):
    image = photograph[:, :450]
    message = over_the_wire(conversions.image_from_rgb(image, Header(), encoding))
    back = conversions.rgb_from_image(message)
    if encoding == 'mono8':
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert back.shape == image.shape and back.flags.c_contiguous
    assert np.abs(back.astype(int) - image).mean() <= tolerance


@pytest.mark.parametrize('encoding', ['bayer_rggb8', 'bayer_grbg8', 'rgba8', 'bgra8', 'uyvy'])
def test_other_encodings_give_rgb(encoding):
    channels = {'rgba8': 4, 'bgra8': 4, 'uyvy': 2}.get(encoding, 1)
    message = Image(height=4, width=6, encoding=encoding, step=6 * channels,
                    data=bytes(range(24)) * channels)
    assert conversions.rgb_from_image(message).shape == (4, 6, 3)


def test_rows_may_be_padded(photograph):
    """step may be larger than a row of pixels (ROS allows it; many drivers do it)."""
    image = photograph[:8, :10]
    padded = np.zeros((8, 64), np.uint8)
    padded[:, :30] = image.reshape(8, 30)
    message = Image(height=8, width=10, encoding='rgb8', step=64, data=padded.tobytes())
    assert np.array_equal(conversions.rgb_from_image(message), image)


@pytest.mark.parametrize('message', [
    Image(height=4, width=4, encoding='rgb8', step=12, data=bytes(47)),
    Image(height=4, width=4, encoding='h264', step=12, data=bytes(48)),
    Image(height=4, width=4, encoding='rgb8', step=3, data=bytes(48)),
    Image(height=0, width=4, encoding='rgb8', step=12),
    Image()], ids=['short', 'unknown', 'step', 'empty', 'default'])
def test_broken_images_are_refused(message):
    with pytest.raises(ImageError):
        conversions.rgb_from_image(message)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_compressed_images(photograph, suffix):
    data = cv2.imencode(suffix, cv2.cvtColor(photograph, cv2.COLOR_RGB2BGR))[1].tobytes()
    back = conversions.rgb_from_compressed(CompressedImage(format=suffix, data=data))
    assert np.abs(back.astype(int) - photograph).mean() < 4
    for broken in (b'', data[:20], b'nonsense'):
        with pytest.raises(ImageError):
            conversions.rgb_from_compressed(CompressedImage(format=suffix, data=broken))


def test_reports_and_links_have_a_field_for_each_field():
    report = Report(STAMP, 5, 6, mode='offload', reason='x', latency_ms=1.5)
    message = over_the_wire(conversions.message_from_report(report))
    names = {f.name for f in dataclasses.fields(Report)} - {'stamp'}
    assert names | {'header'} == set(message.get_fields_and_field_types())
    assert all(getattr(message, n) == getattr(report, n) for n in names)
    link = LinkEstimate(1e6, 0.25, 0.5, 0.125, 0.0625, 1000, 10)
    back = conversions.link_from_message(over_the_wire(
        conversions.message_from_link(link, Header(), True, 1, 2)))
    assert dataclasses.astuple(back) == pytest.approx(dataclasses.astuple(link))


def test_every_field_of_the_messages_is_documented():
    from pathlib import Path
    for file in (Path(__file__).parents[2] / 'msg').glob('*.msg'):
        documented = False
        for line in file.read_text().splitlines():
            if line.startswith('#'):
                documented = True
            elif not line.strip():
                documented = False
            elif '=' not in line:
                assert documented or '#' in line, f'{file.name}: {line}'


def spoilt(**changes):
    message = conversions.message_from_detections(Detections(
        np.array([[1, 2, 3, 4]], np.float32), np.array([0.5], np.float32), np.array([7])),
        Header())
    found = message.detections[0]
    found.results[0].hypothesis.class_id = changes.get('class_id', '7')
    found.results[0].hypothesis.score = changes.get('score', 0.5)
    found.bbox.size_x = changes.get('size_x', 2.0)
    return over_the_wire(message)


@pytest.mark.parametrize('changes', [
    {'class_id': '9' * 400}, {'class_id': '-1'}, {'class_id': ''}, {'score': float('nan')},
    {'score': 2.0}, {'size_x': float('nan')}, {'size_x': float('inf')}, {'size_x': 1e30}])
def test_detections_that_cannot_be_are_refused(changes):
    assert len(conversions.detections_from_message(spoilt())) == 1
    with pytest.raises(TileError):
        conversions.detections_from_message(spoilt(**changes))


def test_a_report_may_quote_the_longest_reason_of_an_edge():
    quoted = conversions.message_from_report(
        Report(STAMP, 1, 2, reason='edge refused: ' + 'x' * 512))
    assert over_the_wire(quoted).reason.startswith('edge refused: xxx')


@pytest.mark.parametrize('sec, nanosec, expected', [
    (10, 500_000_000, 1.5), (-1, 0, 13.0), (-2**31, 2**32 - 1, 12 + 2**31 - 4.294967295)])
def test_the_age_of_any_stamp(sec, nanosec, expected):
    header = over_the_wire(Header())
    header.stamp.sec, header.stamp.nanosec = sec, nanosec
    assert conversions.age(header, Time(seconds=12)) == pytest.approx(expected)
