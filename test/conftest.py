"""Fixtures shared by all tests."""

import itertools
import os

import numpy as np
import pytest
import torch

from intradp_ros.model import zoo

_domains = itertools.count(os.getpid() % 50)


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """Leave the second core to the other processes of the test."""
    torch.set_num_threads(1)


@pytest.fixture
def domain(monkeypatch):
    """A ROS domain of its own for each test, on this machine only."""
    # Above 101 the ports of DDS lie among those that Linux hands out itself.
    number = 1 + next(_domains) % 98
    monkeypatch.setenv('ROS_DOMAIN_ID', str(number))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    return number


@pytest.fixture(scope='session')
def detector():
    """The smallest detector of torchvision, with random weights and boxes to find."""
    return zoo.build('ssdlite320_mobilenet_v3_large', score_threshold=0.001, max_detections=50)


@pytest.fixture(scope='session')
def photograph():
    """A real photograph whose sides are no multiples of anything: uint8 RGB (300, 451, 3)."""
    from skimage import data
    return np.ascontiguousarray(data.chelsea()[..., :3])
