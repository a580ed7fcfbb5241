"""Nonsense never leaves EdgeSession.on_tile, never reaches another frame, never makes it grow."""

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from links import STAMP, frame_of

from intradp_ros.runtime.edge import FILLING, MOST_WASTED, RUNS, EdgeOutlets, EdgeSession
from intradp_ros.runtime.flow import ACK_PERIOD
from intradp_ros.runtime.wire import AckState, Stamp, Tile


@pytest.fixture(scope='module')
def edge(detector):
    said = {'acks': [], 'results': [], 'warnings': []}
    session = EdgeSession(detector, EdgeOutlets(
        ack=lambda name, ack: said['acks'].append((name, ack)),
        result=lambda *result: said['results'].append(result),
        warn=said['warnings'].append), time.monotonic)
    session.said = said
    yield session
    session.close()


def bits(n):
    """Give numbers that an unsigned field of n bits can hold, small ones often."""
    return st.one_of(st.integers(0, 5), st.integers(0, 2**n - 1))


def nonsense(identity):
    return st.builds(
        Tile,
        stamp=st.builds(Stamp, bits(31), bits(32), st.text(max_size=5)),
        model=st.one_of(st.just(identity), st.text(max_size=20)),
        session=bits(64), frame=bits(32), plan=bits(32), index=bits(16),
        tensor=st.one_of(st.just(0), bits(16)), row_begin=bits(16), row_end=bits(16),
        codec=st.one_of(st.integers(0, 4), bits(8)), image_height=bits(16), image_width=bits(16),
        data=st.one_of(st.binary(max_size=200), st.just(bytes(960 * 3))))


@given(data=st.data())
@settings(max_examples=400, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_fields(edge, detector, data):
    edge.on_tile('/nonsense', data.draw(nonsense(detector.identity)))
    robot = edge.robots['/nonsense']
    assert len(robot.runs) <= RUNS
    assert all(len(run.filling) <= FILLING for run in robot.runs.values())


@given(data=st.data())
@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_good_frame_survives_nonsense_in_between(edge, detector, photograph, data):
    """Same robot, other sessions and frame numbers: the frame still comes out, exactly."""
    number = edge.said.setdefault('next', 0)
    edge.said['next'] += 1
    count = len(edge.said['results'])
    for tile in frame_of(detector, photograph, session=77, frame=number):
        edge.on_tile('/mixed', tile)
        for _ in range(2):
            stray = data.draw(nonsense(detector.identity))
            if stray.session != 77:
                edge.on_tile('/mixed', stray)
    until = time.monotonic() + 20
    while len(edge.said['results']) == count and time.monotonic() < until:
        time.sleep(0.002)
    name, stamp, found = edge.said['results'][-1]
    assert (name, stamp) == ('/mixed', STAMP)
    assert not found.differs(detector.detect(photograph))


def test_a_huge_frame_number_does_not_make_the_robot_deaf(edge, detector, photograph):
    tiles = frame_of(detector, photograph, session=5, frame=0)
    edge.on_tile('/deaf', dataclasses.replace(tiles[0], frame=2**32 - 1))
    count = len(edge.said['results'])
    for tile in tiles:
        edge.on_tile('/deaf', tile)
    until = time.monotonic() + 20
    while len(edge.said['results']) == count and time.monotonic() < until:
        time.sleep(0.002)
    assert len(edge.said['results']) == count + 1


def test_acknowledgements_say_what_is_there(edge, detector, photograph):
    tiles = frame_of(detector, photograph, session=9)
    del edge.said['acks'][:]
    for tile in (tiles[0], tiles[1], tiles[4]):
        edge.on_tile('/acks', tile)
    ack = awaited(edge, '/acks', lambda ack: ack.messages == 3)
    assert ack.state is AckState.RECEIVING
    assert (ack.next, ack.bitmap, ack.messages) == (2, 0b10, 3)
    assert ack.bytes == sum(len(tiles[i].data) for i in (0, 1, 4))


def test_acknowledgements_measure_arrivals_on_the_machine_not_in_the_session(
        edge, detector, photograph):
    tiles = frame_of(detector, photograph, session=13)
    for tile, age in zip(tiles, (0.5, 0.3, 0.4)):
        edge.on_tile('/ages', tile, age)
    ack = awaited(edge, '/ages', lambda ack: ack.messages == 3)
    assert 200 <= ack.receive_ms < 300  # the third may have overtaken the second


def awaited(edge, robot, condition):
    """Wait for an acknowledgement."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for name, ack in list(edge.said['acks']):
            if name == robot and condition(ack):
                return ack
        time.sleep(0.001)
    raise AssertionError([a for n, a in edge.said['acks'] if n == robot])


def test_a_burst_is_acknowledged_once_a_period_and_to_its_end(edge, detector, photograph):
    tiles = frame_of(detector, photograph, session=10)
    del edge.said['acks'][:]
    begin = time.monotonic()
    for tile in tiles[:-1] * 30:  # the last one would end the frame
        edge.on_tile('/burst', tile)
    awaited(edge, '/burst', lambda ack: ack.messages == len(tiles) - 1)
    periods = (time.monotonic() - begin) / ACK_PERIOD
    assert 1 <= len(edge.said['acks']) <= periods + 2


def test_a_repetition_is_acknowledged_again(edge, detector, photograph):
    tile = frame_of(detector, photograph, session=12)[0]
    edge.on_tile('/again', tile)
    awaited(edge, '/again', lambda ack: ack.next == 1)
    del edge.said['acks'][:]
    edge.on_tile('/again', tile)
    assert awaited(edge, '/again', lambda ack: ack.next == 1).messages == 1


def test_frames_that_never_end_get_less_of_a_worker_until_one_is_whole(
        edge, detector, photograph):
    tiles = frame_of(detector, photograph, session=14)
    edge.on_tile('/sane', tiles[0])  # alone, it would take nothing from anybody
    edge.on_tile('/mad', tiles[0])
    robot = edge.robots['/mad']

    def idle():
        with edge._turn:
            return not robot.busy and robot.next_assembly() is None
    for number in range(1, MOST_WASTED + FILLING + 1):
        assert robot.free_at < 0, 'too soon'
        until = time.monotonic() + 20
        while not idle() and time.monotonic() < until:
            time.sleep(0.001)
        edge.on_tile('/mad', dataclasses.replace(tiles[0], frame=number))
    until = time.monotonic() + 20
    while robot.free_at < 0 and time.monotonic() < until:
        time.sleep(0.001)
    assert robot.wasted >= MOST_WASTED and robot.free_at > 0
    count = len(edge.said['results'])
    for tile in tiles:
        edge.on_tile('/mad', dataclasses.replace(tile, frame=number + 1))
    while len(edge.said['results']) == count and time.monotonic() < until + 20:
        time.sleep(0.002)
    assert edge.said['results'][-1][0] == '/mad'
    assert not edge.said['results'][-1][2].differs(detector.detect(photograph))
    assert robot.wasted == 0


def test_the_edge_says_no_once_a_frame(edge, detector, photograph):
    del edge.said['acks'][:]
    for tile in frame_of(detector, photograph, session=11):
        edge.on_tile('/other', dataclasses.replace(tile, model='other#1'))
    ack, = (ack for name, ack in edge.said['acks'] if name == '/other')
    assert ack.state is AckState.REFUSED
    assert 'other#1' in ack.reason and detector.identity in ack.reason
    assert np.all([detector.identity in w for w in edge.said['warnings'][-1:]])
