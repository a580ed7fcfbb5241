import numpy as np
import pytest

from intradp_ros.errors import ImageError
from intradp_ros.scenes.sources import LEAST_VISIBILITY, STAY, open_source
from intradp_ros.scenes.video import FRAME_RATE, plan, play

SIZE = 240, 320


def test_a_frame_is_the_same_whenever_and_in_whatever_order_it_is_made():
    forth = [play(5, frame, SIZE) for frame in (0, 1, 2)]
    plan.cache_clear()
    back = [play(5, frame, SIZE) for frame in (2, 1, 0)][::-1]
    for a, b in zip(forth, back):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.boxes, b.boxes)
    assert (play(6, 0, SIZE).image != forth[0].image).any()


def test_objects_move_smoothly_and_get_somewhere():
    for seed in range(4):
        tracks = plan(seed, SIZE).tracks
        way = np.array([[(t.at(f / FRAME_RATE).x, t.at(f / FRAME_RATE).y) for t in tracks]
                        for f in range(150)])
        steps = np.linalg.norm(np.diff(way, axis=0), axis=2)
        assert steps.max() < 0.03 * SIZE[1]
        assert np.ptp(way[..., 0], axis=0).max() > 0.1 * SIZE[1]
        # No jerk: the velocity changes by little from frame to frame.
        assert np.abs(np.diff(way, n=2, axis=0)).max() < 1


def test_boxes_follow_the_objects():
    for frame in (0, 40, 80):
        shown = play(2, frame, SIZE)
        items = [t.at(frame / FRAME_RATE) for t in plan(2, SIZE).tracks]
        for box, label, visibility in zip(shown.boxes, shown.labels, shown.visibility):
            if visibility == 1:
                middle = (box[:2] + box[2:]) / 2
                near = [item for item in items if item.label == label
                        and np.hypot(*(middle - [item.x, item.y])) < 0.3 * item.height + 2]
                assert near


def test_the_background_pans():
    frames = [play(3, frame, SIZE).image.astype(float) for frame in (0, 1, 60)]
    near, far = (np.abs(frames[0] - frames[i]).mean() for i in (1, 2))
    assert near < far


def test_its_photographs_are_held_out_and_every_one_appears():
    from intradp_ros.scenes.photographs import HELD_OUT
    assert {plan(seed, SIZE).photograph for seed in range(30)} == set(HELD_OUT)


def test_the_camera_source_plays_videos_with_their_truth():
    shots = open_source('scenes', '9', *SIZE)
    for frame in range(STAY + 2):
        shot = next(shots)
        expected = play(9 + frame // STAY, frame % STAY, SIZE)
        np.testing.assert_array_equal(shot.image, expected.image)
        seen = expected.visibility >= LEAST_VISIBILITY
        np.testing.assert_array_equal(shot.boxes, expected.boxes[seen])
        np.testing.assert_array_equal(shot.labels, expected.labels[seen])
    with pytest.raises(ImageError, match='seed'):
        next(open_source('scenes', 'nine', *SIZE))
