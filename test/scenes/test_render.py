import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from intradp_ros.scenes.objects import CLASSES
from intradp_ros.scenes.render import Item, Light, rasterize, render

# Neither shade nor camera: every pixel is either the background's or an object's own.
NEUTRAL = Light(strength=0)
SIZE = 96, 128

items = st.builds(Item, label=st.integers(-1, len(CLASSES) - 1), seed=st.integers(0, 2 ** 62),
                  x=st.floats(-10, SIZE[1] + 10), y=st.floats(-10, SIZE[0] + 10),
                  height=st.floats(10, 90), roll=st.floats(-180, 180), yaw=st.floats(-40, 40),
                  pitch=st.floats(-20, 20))


def masks(shown: list[Item]) -> list[np.ndarray]:
    """Every pixel that an item covers by more than half, on a canvas far larger than the image."""
    margin = 200
    result = []
    for item in shown:
        left, top, _, coverage = rasterize(item, NEUTRAL)
        mask = np.zeros((SIZE[0] + 2 * margin, SIZE[1] + 2 * margin), bool)
        rows = slice(top + margin, top + margin + coverage.shape[0])
        mask[rows, left + margin:left + margin + coverage.shape[1]] = coverage > 0.5
        result.append(mask)
    inside = (slice(margin, margin + SIZE[0]), slice(margin, margin + SIZE[1]))
    return [(m[inside], m.sum()) for m in result]


@settings(max_examples=40, deadline=None)
@given(st.lists(items, min_size=1, max_size=5))
def test_boxes_and_visibility_are_those_of_the_visible_pixels(shown):
    scene = render(np.zeros((*SIZE, 3), np.uint8), shown, NEUTRAL, default_rng(0))
    expected = []
    alone = masks(shown)
    for i, (mask, total) in enumerate(alone):
        hidden = np.any([m for m, _ in alone[i + 1:]], axis=0) if i + 1 < len(alone) else False
        seen = [(x, y) for y in range(SIZE[0]) for x in range(SIZE[1])
                if (mask & ~np.asarray(hidden))[y, x]]
        if seen and shown[i].label >= 0:
            xs, ys = [x for x, _ in seen], [y for _, y in seen]
            expected.append((shown[i].label, min(xs), min(ys), max(xs) + 1, max(ys) + 1,
                             len(seen) / total))
    assert len(scene.labels) == len(expected)
    for i, (label, *box, share) in enumerate(expected):
        assert scene.labels[i] == label
        assert scene.boxes[i].tolist() == box
        assert scene.visibility[i] == pytest.approx(share)


@pytest.mark.parametrize('label', range(len(CLASSES)), ids=CLASSES)
def test_a_box_bounds_the_pixels_that_differ_from_the_background(label):
    """The picture itself, not the bookkeeping: magenta is no object's colour."""
    background = np.full((*SIZE, 3), (255, 0, 255), np.uint8)
    for seed in range(5):
        scene = render(background, [Item(label, seed, 64, 48, 60)], NEUTRAL, default_rng(0))
        changed = (scene.image != background).any(2)
        rows, columns = np.nonzero(changed.any(1))[0], np.nonzero(changed.any(0))[0]
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        # A pixel of which less than half is covered is tinted but not counted.
        assert np.abs(scene.boxes[0] - seen).max() <= 1


def test_half_of_a_ball_is_beyond_the_border():
    ball = CLASSES.index('ball')
    scene = render(np.zeros((*SIZE, 3), np.uint8), [Item(ball, 1, 0, 48, 50)], NEUTRAL,
                   default_rng(0))
    assert scene.visibility[0] == pytest.approx(0.5, abs=0.02)
    assert scene.boxes[0].tolist() == pytest.approx([0, 23, 25, 73], abs=1)


def test_what_would_hide_too_much_is_left_out():
    small, large = Item(0, 1, 64, 48, 20), Item(1, 2, 64, 48, 80)
    background = np.zeros((*SIZE, 3), np.uint8)
    hidden = render(background, [small, large], NEUTRAL, default_rng(0))
    kept = render(background, [small, large], NEUTRAL, default_rng(0), least_visibility=0.4)
    assert hidden.labels.tolist() == [1]
    assert kept.labels.tolist() == [0]
    assert kept.visibility.tolist() == [1]


def test_light_and_camera_change_the_image_but_not_the_truth():
    shown = [Item(2, 1, 64, 48, 60)]
    background = np.full((*SIZE, 3), 128, np.uint8)
    plain = render(background, shown, NEUTRAL, default_rng(0))
    for light in (Light(gain=0.5), Light(noise=10), Light(blur=2), Light(motion=6)):
        other = render(background, shown, light, default_rng(0))
        assert (other.image != plain.image).any()
        np.testing.assert_array_equal(other.boxes, plain.boxes)
    dark = render(background, shown, Light(strength=0, gain=0.5), default_rng(0))
    assert dark.image[0, 0].tolist() == [64, 64, 64]
