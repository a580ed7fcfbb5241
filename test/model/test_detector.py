"""Geometry, preprocessing and comparison of detections."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intradp_ros.errors import ImageError, ParameterError
from intradp_ros.model.detector import Detections, Detector, Geometry, parse_size

sides = st.integers(1, 5000)


@given(sides, sides, sides, sides)
def test_letterbox_keeps_the_ratio_within_a_pixel(height, width, target_height, target_width):
    g = Geometry.fit((height, width), (target_height, target_width), stretch=False)
    assert 1 <= g.content_height <= target_height and 1 <= g.content_width <= target_width
    assert g.content_height == target_height or g.content_width == target_width
    scale = min(target_height / height, target_width / width)
    assert abs(g.content_height - height * scale) <= 1
    assert abs(g.content_width - width * scale) <= 1


def test_stretch_fills():
    g = Geometry.fit((300, 451), (320, 320), stretch=True)
    assert (g.content_height, g.content_width) == (320, 320)
    assert g.scale_x == 320 / 451


@pytest.mark.parametrize('source', [(0, 5), (5, 0)])
def test_empty_images_are_refused(source):
    with pytest.raises(ImageError, match=f'{source[0]}x{source[1]}'):
        Geometry.fit(source, (320, 320), False)


@pytest.mark.parametrize('source', [(300, 451), (451, 300), (480, 640), (37, 2000)])
@pytest.mark.parametrize('stretch', [True, False])
def test_boxes_come_back_in_source_pixels(source, stretch):
    """A box around the content is one around the source; one in the padding is none."""
    def decode(raw, size):
        g = Geometry.fit(source, size, stretch)
        boxes = torch.tensor([[0, 0, g.content_width, g.content_height],
                              [g.content_width / 2, 0, size[1], g.content_height / 2],
                              [g.content_width, g.content_height, size[1] + 1, size[0] + 1]])
        return boxes, torch.tensor([0.2, 0.9, 0.5]), torch.tensor([1, 2, 3])

    detector = Detector('d', torch.nn.Identity(), decode, ('',) * 4, 320, 320, stretch)
    found = detector.postprocess((), detector.geometry(source))
    height, width = source
    assert found.labels.tolist() == [2, 1]  # best score first
    assert np.allclose(found.boxes, [[width / 2, 0, width, height / 2], [0, 0, width, height]],
                       atol=1e-3)


def test_preprocess_pads_on_the_right_and_below(photograph):
    from intradp_ros.model import zoo
    detector = zoo.build('fasterrcnn_mobilenet_v3_large_320_fpn', input_size=(192, 192))
    pixels, geometry = detector.preprocess(photograph)
    assert pixels.shape == (192, 192, 3)
    assert geometry.content_width == 192 and geometry.content_height == 128
    assert pixels[127].any() and not pixels[128:].any()


@pytest.mark.parametrize('image', [
    np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_other_arrays_are_refused(detector, image):
    with pytest.raises(ImageError, match='uint8'):
        detector.preprocess(image)


def detections(n, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 300, (n, 2))
    boxes = np.hstack([corner, corner + rng.uniform(1, 99, (n, 2))])
    return Detections(boxes.astype(np.float32), rng.uniform(0, 1, n).astype(np.float32),
                      rng.integers(1, 5, n))


def test_equal_whatever_the_order():
    a = detections(30)
    order = np.random.default_rng(1).permutation(30)
    assert not a.differs(Detections(a.boxes[order], a.scores[order], a.labels[order]))
    assert not detections(0).differs(detections(0))


@pytest.mark.parametrize('change, text', [
    (lambda d: Detections(d.boxes[1:], d.scores[1:], d.labels[1:]), '30 objects against 29'),
    (lambda d: Detections(d.boxes, d.scores, d.labels + 1), 'classes'),
    (lambda d: Detections(d.boxes + 0.05, d.scores, d.labels), 'boxes by up to 0.05'),
    (lambda d: Detections(d.boxes, d.scores + 1e-3, d.labels), 'scores differ by up to 0.001'),
])
def test_differences_are_named(change, text):
    assert text in detections(30).differs(change(detections(30)))


@pytest.mark.parametrize('text', ['640', '640x', 'x480', '640x480x3', '0x480', '640x99999', 'axb'])
def test_bad_sizes_are_refused(text):
    with pytest.raises(ParameterError, match=text):
        parse_size(text)


def test_size_is_width_by_height():
    assert parse_size('640x480') == (480, 640)
