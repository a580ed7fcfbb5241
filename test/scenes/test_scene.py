import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from intradp_ros.scenes import photographs
from intradp_ros.scenes.objects import CLASSES
from intradp_ros.scenes.scene import LEAST_VISIBILITY, scene

SEEDS = range(40)


def digest(shown) -> str:
    parts = (shown.image, shown.boxes, shown.labels, shown.visibility)
    return hashlib.sha256(b''.join(p.tobytes() for p in parts)).hexdigest()


def test_another_process_draws_the_same_scene():
    code = ('import hashlib; from intradp_ros.scenes.scene import scene; s = scene(7); '
            'print(hashlib.sha256(b"".join(p.tobytes() for p in '
            '(s.image, s.boxes, s.labels, s.visibility))).hexdigest())')
    there = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                           check=True, env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
    assert there.stdout.strip() == digest(scene(7))


def test_seeds_and_splits_differ():
    digests = {digest(scene(seed, held_out, (96, 128)))
               for seed in range(10) for held_out in (True, False)}
    assert len(digests) == 20


def test_no_photograph_is_in_both_splits():
    assert not set(photographs.TRAIN) & set(photographs.HELD_OUT)
    shared = {photographs.photograph(n).tobytes() for n in photographs.TRAIN} \
        & {photographs.photograph(n).tobytes() for n in photographs.HELD_OUT}
    assert not shared


@pytest.mark.parametrize('held_out', [True, False])
def test_a_scene_shows_only_photographs_of_its_split(held_out, monkeypatch):
    used = []
    original = photographs.photograph
    monkeypatch.setattr(photographs, 'photograph', lambda n: used.append(n) or original(n))
    for seed in SEEDS:
        scene(seed, held_out, (96, 128))
    assert set(used) == set(photographs.HELD_OUT if held_out else photographs.TRAIN)


def test_truth_is_plausible_in_every_scene():
    seen = set()
    for seed in SEEDS:
        shown = scene(seed)
        assert shown.image.shape == (480, 640, 3) and shown.image.dtype == np.uint8
        assert len(shown.labels) == len(shown.boxes) == len(shown.visibility) > 0
        assert (shown.boxes >= 0).all() and (shown.boxes <= [640, 480, 640, 480]).all()
        assert (shown.boxes[:, 2:] > shown.boxes[:, :2]).all()
        assert (shown.visibility >= LEAST_VISIBILITY).all() and (shown.visibility <= 1).all()
        seen |= set(shown.labels.tolist())
    assert seen == set(range(len(CLASSES)))


def test_a_view_of_the_whole_image_is_that_image():
    image = photographs.photograph('coffee')
    seen = photographs.view(image, (0.5, 0.5), 1, 0, image.shape[:2])
    assert np.abs(seen.astype(int) - image).mean() < 1
    flipped = photographs.view(image, (0.5, 0.5), 1, 0, image.shape[:2], flip=True)
    assert np.abs(flipped[:, 1:].astype(int) - image[:, :0:-1]).mean() < 1
