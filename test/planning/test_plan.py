"""Setups join two profiles of one model; costs order plans by what an objective is for."""

import dataclasses
import math

import pytest

from intradp_ros.errors import ParameterError
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Encoding, Objective, Plan, Setup, best, cost
from intradp_ros.planning.timeline import Task

LINK = Link(100)


def plan(name, *tasks, ends=(0,)):
    """A plan that does the same on every link."""
    return Plan(name, 'x', lambda link: (tasks, ends))


def test_profiles_of_different_models_are_refused(demo_setup):
    other = dataclasses.replace(demo_setup.edge, fingerprint='f' * 16, model='other')
    with pytest.raises(ParameterError, match='other.*ffff'):
        Setup(demo_setup.device, other)


def test_bytes_are_those_of_the_encoding(demo_setup):
    graph = demo_setup.graph
    inner = graph.merge_candidates()[3]
    pixels = 640 * 480 * 3
    assert demo_setup.input_elements == demo_setup.input_bytes == pixels
    half = dataclasses.replace(demo_setup, encoding=Encoding('x', 4.0, tensor_ratio=0.5))
    assert half.input_bytes == half.tensor_bytes(graph.input) == 4 * pixels
    assert half.tensor_bytes(inner.id) == demo_setup.tensor_bytes(inner.id) / 2 == inner.bytes / 2


def test_each_goal_has_its_own_best(demo_setup):
    # Computing draws more than waiting, so the slowest here costs least energy.
    fast = plan('fast', Task('device', 1.0))
    frugal = plan('frugal', Task('edge', 1.2))
    # The shortest stages, the longest frame.
    pipe = plan('pipe', Task('device', 0.7), Task('uplink', size=70, after=(0,)), ends=(1,))
    plans = [fast, frugal, pipe]

    def chosen(**options):
        return best(demo_setup, plans, LINK, Objective(**options)).planner
    assert chosen() == 'fast'
    assert chosen(goal='energy') == 'frugal'
    assert chosen(goal='deadline', deadline=2.0) == 'frugal'
    assert chosen(goal='deadline', deadline=1.1) == 'fast'
    assert chosen(goal='deadline', deadline=0.5) == 'fast'
    assert chosen(goal='throughput') == 'pipe'
    assert chosen(energy_cap=7.0) == 'frugal'


def test_a_plan_that_never_ends_is_never_the_best(demo_setup):
    dead = Link(0, steps=((0, 0),))
    never = plan('never', Task('uplink', size=1))
    local = plan('local', Task('device', 1e6))
    for goal in ('latency', 'energy', 'deadline', 'throughput'):
        objective = Objective(goal, deadline=1.0)
        assert best(demo_setup, [never, local], dead, objective).planner == 'local'
        assert not any(map(math.isnan, cost(demo_setup, never, dead, objective)))


def test_the_first_of_equals_is_taken(demo_setup):
    plans = [plan('a', Task('device', 1)), plan('b', Task('device', 1))]
    assert best(demo_setup, plans, LINK, Objective()).planner == 'a'
