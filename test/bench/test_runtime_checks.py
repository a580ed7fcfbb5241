import math

from pytest import approx

import runtime_checks as checks
from testbed.summary import Frame
from testbed.usage import Usage


def frame(begin, end, acknowledged=1):
    return Frame((int(begin * 1000), 0), begin, 0, {'acknowledged': acknowledged}, [end])


def test_a_check_of_nothing_does_not_hold():
    assert checks.Check('x', 1.0, 1.0).holds and not checks.Check('x', 1.01, 1.0).holds
    assert not checks.Check('x', math.nan, 1.0).holds
    nothing = {'frames': 0, 'missing': 0, 'duplicated': 0, 'reordered': 0}
    assert not checks.delivered(nothing, 'here').holds
    assert checks.delivered(nothing | {'frames': 3}, 'here').holds
    assert not checks.delivered(nothing | {'frames': 3, 'reordered': 1}, 'here').holds


def test_frames_that_a_moment_fell_into():
    frames = [frame(0, 1), frame(2, 3), frame(4, 5)]
    assert checks.hit(frames, [1.5, 2.5, 2.6, 9]) == [frames[1]]


def test_time_until_the_link_is_used_again():
    frames = [frame(0, 1), frame(2, 3, 0), frame(4, 5, 0), frame(6, 7), frame(8, 9)]
    assert checks.returns(frames, [1.5, 5.5, 7.5]) == [approx(4.5), approx(0.5)]
    assert checks.returns(frames, [7.5], seen_for=0) == [approx(0.5)]
    assert checks.returns([frame(0, 1), frame(9, 10, 0)], [1.5]) == [math.inf]
    assert checks.returns([], [1.5]) == []


def samples(memory, threads=lambda t: 5):
    return [(float(t), {'edge': Usage(0.0, memory(t), 0, threads(t), 9)})
            for t in range(0, 1800, 10)]


def test_growth_is_seen_and_noise_is_not():
    flat = checks.growth(samples(lambda t: 1000 + (t // 10) % 7), 'edge')
    assert abs(flat['memory']) < 0.005 and flat['threads'] == flat['files'] == 0
    settling = checks.growth(samples(lambda t: 500 if t < 60 else 1000), 'edge')
    assert settling['memory'] == 0
    leak = checks.growth(samples(lambda t: 1000 + t // 20, lambda t: 5 + t // 600), 'edge')
    assert leak['memory'] > 0.05 and leak['threads'] == 2
    assert math.isnan(checks.growth(samples(lambda t: 1), 'device0')['memory'])


def test_the_table_names_what_does_not_hold():
    text = checks.table({'loss': {'checks': [checks.Check('p95', 3.0, 2.0).plain(),
                                             checks.Check('lost', 0, 0).plain()]}})
    assert '| loss | p95 | 3  | 2  | **no** |' in text and '| yes |' in text
