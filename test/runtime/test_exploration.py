"""Which frames are done otherwise than planned."""

from dataclasses import replace

import pytest

from intradp_ros.runtime.exploration import Explorer
from intradp_ros.runtime.settings import DeviceSettings
from intradp_ros.tiling.split import Split


def tried(rivals, seconds=10.0, local=0.1):
    """
    Frames of a tenth of a second each; `rivals` gives the rival of the plan at a time.

    :param local: seconds that local inference takes.
    :returns: when a frame was done as a rival.
    """
    explorer = Explorer(Split(0, 0, 0), lambda: True, lambda: True)
    planned, times = DeviceSettings('frontier', 'offload'), []
    for tenth in range(round(10 * seconds)):
        now = tenth / 10
        chosen = explorer.choose(replace(planned, rival=rivals(now)), now, False)
        if chosen.way != 'offload':
            times.append(now)
        explorer.note(now, True, local)
    return times


def rival(way, new):
    return DeviceSettings('frontier', way, tile_count=1, new=new)


def test_a_rival_that_is_known_is_tried_every_three_seconds():
    assert tried(lambda now: rival('cut', new=False)) == [0.0, 3.0, 6.0, 9.0]


def test_a_new_rival_is_tried_soon_but_not_for_ever():
    """It may be one whose frames say nothing: those of an edge that fails."""
    first = [0.0, 0.3, 0.6, 0.9]
    assert tried(lambda now: rival('cut', new=True)) == pytest.approx([*first, 3.9, 6.9, 9.9])


def test_slow_models_are_not_tried_in_every_other_frame():
    assert tried(lambda now: rival('cut', new=False), 21.0, local=2.0) == [0.0, 10.0, 20.0]
    assert tried(lambda now: rival('cut', new=True), 30.0, local=2.0) == pytest.approx(
        [0.0, 3.0, 6.0, 9.0, 19.0, 29.0])
    explorer = Explorer(Split(0, 0, 0), lambda: True, lambda: True)
    planned, offered = DeviceSettings('frontier', 'local', explore=True), []
    for second in range(21):
        if explorer.choose(planned, float(second), False).way == 'offload':
            explorer.offered = float(second)
            offered.append(second)
        explorer.note(float(second), True, 2.0)
    assert offered == [0, 10, 20]


def test_the_next_new_one_comes_at_once():
    times = tried(lambda now: rival('cut' if now < 1.2 else 'meeting', new=now < 2.2), 3.0)
    assert times == pytest.approx([0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1])
