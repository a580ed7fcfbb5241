import math

import numpy as np
from pytest import approx

from testbed import spread


def wandering(random, turns=4, frames=25):
    """Frames of a machine that is another one each turn."""
    speeds = random.lognormal(0, 0.2, turns)
    return speeds, np.concatenate([speed * random.lognormal(0, 0.05, frames) for speed in speeds])


def test_a_machine_that_wanders_makes_the_interval_wide():
    random = np.random.default_rng(1)
    _, frames = wandering(random)
    wide = spread.interval(frames, 4)
    narrow = spread.interval(random.permutation(frames), 100)
    assert wide[0] <= narrow[0] <= np.median(frames) <= narrow[1] <= wide[1]
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


def test_what_two_methods_had_in_common_is_not_in_their_ratio():
    random = np.random.default_rng(2)
    speeds, first = wandering(random)
    second = np.concatenate([2 * speed * random.lognormal(0, 0.05, 25) for speed in speeds])
    low, high = spread.ratio_interval(first, second, 4)
    assert low <= 0.5 <= high
    assert (high - low) / 0.5 < 0.5 * np.subtract(*spread.interval(first, 4)[::-1])


def test_little_and_nothing():
    assert spread.interval([3.0], 4) == (3.0, 3.0)
    assert all(map(math.isnan, spread.interval([], 4)))
    assert all(map(math.isnan, spread.ratio_interval([1.0], [], 4)))
    assert spread.ratio_interval([1.0, 1.0], [2.0, 2.0], 4) == approx((0.5, 0.5))


def test_luck_in_one_turn_makes_no_rival():
    methods = {'steady': [10, 11, 10, 11, 10, 11], 'lucky once': [20, 21, 1, 2, 20, 21]}
    assert spread.best_elsewhere(methods, 3) == methods['steady']
    faster = {'slow': [9, 9, 9, 9], 'fast': [5, 6, 7, 8]}
    assert spread.best_elsewhere(faster, 2) == faster['fast']


def test_of_equal_methods_the_best_one_has_no_advantage():
    """Where it has been chosen by its own turns it has: here a tenth and more."""
    random = np.random.default_rng(3)
    chosen, lucky = [], []
    for _ in range(200):
        methods = {name: wandering(random)[1] for name in range(10)}
        usual = np.median(np.concatenate(list(methods.values())))
        chosen.append(np.median(spread.best_elsewhere(methods, 4)) / usual)
        lucky.append(min(map(np.median, methods.values())) / usual)
    assert 0.98 < np.median(chosen) < 1.02
    assert np.median(lucky) < 0.9
