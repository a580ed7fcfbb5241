"""What frames took against their plan, and how that is held against what comes."""

import pytest

from intradp_ros.runtime.experience import LOCAL, Experience, Paces


def test_what_tiles_take_says_nothing_of_ways_without():
    experience = Experience()
    for _ in range(5):
        experience.note(('cut', 'conv', True), 1.0, 2.0, 0.0)
        experience.note(('offload', '', True), 1.0, 1.5, 0.0)
    factors = experience.factors(0.0)
    assert factors.of(('cut', 'conv', True)) == pytest.approx(2.0, rel=0.05)
    # Not seen: as those that were and have as much to lose.
    assert factors.of(('meeting', 'conv', True)) == pytest.approx(1.75, rel=0.05)
    assert factors.of(('cut', 'conv', False)) == 1.0 == factors.of(('local', '', False))
    for _ in range(5):
        experience.note(('local', '', False), 1.0, 1.2, 0.0)
    # A slow processor is slow for all ways.
    assert experience.factors(0.0).of(('cut', 'conv', False)) == pytest.approx(1.2)
    experience.note(('offload', '', False), 1.0, 1.1, 0.0)
    assert experience.factors(0.0).of(('cut', 'conv', False)) == pytest.approx(1.2), \
        'one frame says little'


def test_a_slow_moment_says_nothing_against_the_way_that_was_in_use_then():
    experience, way, rival = Experience(), ('local', '', False), ('cut', 'conv', False)
    for tenth in range(300):  # ten frames a second, every 3 s one of the rival
        now = tenth / 10
        experience.note(way if tenth % 30 else rival, 1.0, 1.5 if 250 <= tenth else 1.0, now)
    factors = experience.factors(30.0)
    assert factors.of(way) == factors.of(rival) == 1.0
    for tenth in range(300, 400):
        experience.note(way, 1.0, 1.5, tenth / 10)
    assert experience.factors(40.0).of(way) == 1.5, 'it lasts'
    for _ in range(9):
        experience.note(way, 1.0, 4.0, 40.0)
    assert experience.factors(40.0).of(way) == 4.0, 'that is no moment'
    assert experience.factors(200.0).seen == {}


def test_what_is_old_speaks_for_a_way_and_never_against_it():
    """A way that was as planned is not avoided for what others took since it was forgotten."""
    experience = Experience()
    good, bad, once = ('offload', '', False), ('cut', 'conv', False), ('cut', 'other', False)
    for _ in range(3):
        experience.note(good, 1.0, 1.0, 0.0)
        experience.note(bad, 1.0, 2.0, 0.0)
    experience.note(once, 1.0, 9.0, 0.0)
    factors = experience.factors(1000.0)
    assert factors.seen == {} and factors.past == {good: 1.0, bad: 2.0}
    assert [factors.of(kind) for kind in (good, bad, once)] == [1.0, 1.0, 1.0]
    for _ in range(3):
        experience.note(('meeting', 'conv', False), 1.0, 1.5, 1000.0)
    factors = experience.factors(1000.0)
    assert [factors.of(kind) for kind in (good, bad, once)] == [1.0, 1.5, 1.5]
    assert [factors.hope(kind) for kind in (good, bad, once)] == [1.0, 1.0, 1.0]


def test_frames_are_judged_by_the_pace_of_their_time():
    """It is known some frames later, and another one when the way has not been in use for long."""
    paces = Paces()
    experience = Experience(paces)

    def frames(kind, took, begin, end):
        for n in range(begin, end):
            paces.note(0.1, took, n)
            experience.note(kind, 0.0, took, n, 0.1)
    frames(LOCAL, 0.1, 0, 11)
    frames(LOCAL, 0.15, 11, 23)
    assert paces.lately(23.0) == pytest.approx(1.5)
    assert experience.factors(23.0).seen[LOCAL] == pytest.approx(1.0)
    frames(('cut', 'conv', False), 0.1, 23, 60)
    assert paces.lately(60.0) == 1.0
    assert experience.factors(60.0).seen[LOCAL] == pytest.approx(1.0)


def test_frames_that_were_planned_for_another_edge_speak_for_their_way():
    """The step of its speed falls, and nothing has changed; or it rises, and the edge is free."""
    experience, way = Experience(), ('offload', '', False)
    for n in range(5):
        experience.note(way, 0.01, 0.06, n, edge=0.1, speedup=2.0)
    assert experience.factors(5.0, 2.0).seen[way] == pytest.approx(1.0)
    assert experience.factors(5.0, 1.0).seen[way] * 0.11 == pytest.approx(0.06)
    assert experience.factors(5.0, 4.0).seen[way] == pytest.approx(1.0)
