"""Setups that planning tests share: a real detector, profiles estimated."""

import pytest

from intradp_ros.model import zoo
from intradp_ros.planning.plan import Setup
from intradp_ros.planning.profile import estimated


@pytest.fixture(scope='session')
def demo_setup():
    """The demo detector on a robot and on an edge ten times as fast; 640x480."""
    graph = zoo.build('demo_detector', 'random').graph
    device = estimated(graph, 4e9, model='demo_detector', before=2e-3, after=1e-3)
    return Setup(device, device.scaled(0.1))
