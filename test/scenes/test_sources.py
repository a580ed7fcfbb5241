"""Camera sources give images of one size for ever, and clear errors."""

import itertools

import cv2
import numpy as np
import pytest

from intradp_ros.errors import ImageError
from intradp_ros.scenes import sources


def take(n, *arguments):
    return list(itertools.islice(sources.open_source(*arguments), n))


@pytest.mark.parametrize('kind', ['photographs', 'scenes'])
def test_generated_sources(kind):
    shots = take(sources.STAY + 2, kind, '', 96, 128)
    assert {s.image.shape for s in shots} == {(96, 128, 3)}
    assert all(s.image.dtype == np.uint8 and s.image.std() > 1 for s in shots)
    assert not np.array_equal(shots[0].image, shots[1].image)  # it moves
    assert (shots[0].boxes is None) == (kind == 'photographs')
    again = take(3, kind, '', 96, 128)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(again, shots))


def test_a_folder_is_shown_again_and_again(tmp_path):
    for i, color in enumerate([(255, 0, 0), (0, 255, 0)]):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.full((50, 60, 3), color[::-1], np.uint8))
    shots = take(5, 'folder', str(tmp_path), 40, 80)
    assert [tuple(s.image[20, 40]) for s in shots[:2]] == [(255, 0, 0), (0, 255, 0)]
    assert np.array_equal(shots[0].image, shots[4].image) and shots[0].image.shape == (40, 80, 3)


def test_a_video_begins_again(tmp_path):
    path = str(tmp_path / 'video.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for value in (20, 120, 220):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    shots = take(7, 'video', path, 48, 64)
    means = [int(s.image.mean()) for s in shots]
    assert np.allclose(means[:3], [20, 120, 220], atol=6) and means[3:6] == means[:3]


@pytest.mark.parametrize('kind, path, text', [
    ('folder', '/nowhere', 'no images'), ('video', '/nowhere.avi', 'nowhere.avi'),
    ('device', '77', '77'), ('photographs', 'mona_lisa', 'mona_lisa'),
    ('scenes', 'seed', 'seed'), ('radio', '', 'photographs')])
def test_what_cannot_be_shown_is_named(kind, path, text):
    with pytest.raises(ImageError, match=text):
        take(1, kind, path, 48, 64)
