import numpy as np
import pytest
from numpy.random import default_rng

from intradp_ros.scenes.objects import CLASSES, KINDS, clutter


@pytest.mark.parametrize('name', CLASSES)
def test_every_drawing_is_about_one_high_and_centred(name):
    for seed in range(30):
        points = np.vstack([polygon for polygon, _ in KINDS[name].draw(default_rng(seed))])
        assert 0.75 <= max(np.ptp(points, axis=0)) <= 1.35
        assert np.abs((points.min(0) + points.max(0)) / 2).max() < 0.3


@pytest.mark.parametrize('draw', [kind.draw for kind in KINDS.values()] + [clutter])
def test_a_seed_draws_one_thing_and_seeds_differ(draw):
    first, again, other = draw(default_rng(3)), draw(default_rng(3)), draw(default_rng(4))
    for (polygon, tint), (polygon_again, tint_again) in zip(first, again):
        np.testing.assert_array_equal(polygon, polygon_again)
        np.testing.assert_array_equal(tint, tint_again)
    assert any(not np.array_equal(a[1], b[1]) for a, b in zip(first, other))
