"""Meeting, hedging and resending between real sessions, over links that lose, stall and die."""

import dataclasses
import random
import threading
import time

import pytest
from links import Pair

from intradp_ros.runtime.exploration import FIRST_EXPLORED, TRIAL_PERIOD
from intradp_ros.tiling import split
from intradp_ros.tiling.rows import union

LONG = 20000.0  # a deadline that no slow machine misses


@pytest.fixture(scope='module')
def expected(detector, photograph):
    return detector.detect(photograph)


@pytest.fixture(scope='module')
def shallow(detector):
    return split.at(detector.graph, 'backbone.features.0.3.add_1', 0.5)


def losing(share, seed=1):
    # With seed 0 and a share of 0.05 only one of six frames lost anything.
    chance = random.Random(seed)
    return lambda tile: [] if chance.random() < share else [tile]


class Slow:
    """A link of so many bytes a second, in real time; `factor` may change while it works."""

    def __init__(self, rate):
        self.rate = rate
        self.tiles = []

    def __call__(self, tile):
        self.tiles.append(tile)
        time.sleep(len(tile.data) / self.rate)
        return [tile]


@pytest.mark.parametrize('rate', [1e9, 2e6, 3e5])
def test_meeting_equals_the_whole_model_wherever_the_sides_meet(
        detector, photograph, expected, shallow, rate):
    link = Slow(rate)
    with Pair(detector, mode='frontier', way='meeting', split=shallow, tile_count=10,
              deadline_ms=LONG, spoil=link) as pair:
        for _ in range(2):
            del link.tiles[:]
            result = pair.process(photograph)
            report = result.report
            assert report.source == 'edge' and not result.detections.differs(expected)
            rows = detector.graph.tensors[shallow.merge].rows
            assert report.device_rows + report.edge_rows == rows
            assert covered(link.tiles, shallow.merge) == (
                ((0, report.device_rows),) if report.device_rows else ())
            sent = [t for t in {t.index: t for t in link.tiles}.values()]
            assert sum(t.row_end - t.row_begin for t in sent if t.tensor) == report.device_rows


def covered(tiles, tensor):
    return union((t.row_begin, t.row_end) for t in tiles if t.tensor == tensor)


def test_a_slow_link_leaves_more_to_the_device(detector, photograph, shallow):
    """The least that the device computed of several frames: a busy machine may starve threads."""
    shares = []
    for rate in (1e9, 2e5):
        with Pair(detector, mode='frontier', way='meeting', split=shallow, tile_count=10,
                  deadline_ms=LONG, hedge=True, spoil=Slow(rate)) as pair:
            pair.process(photograph)
            shares.append(min(pair.process(photograph).report.device_rows for _ in range(6)))
    assert shares[0] < shares[1]


@pytest.mark.parametrize('way', ['offload', 'meeting', 'cut'])
def test_hedging_over_a_dead_link_is_local_inference(detector, photograph, expected, shallow, way):
    chosen = {'offload': split.offload(detector.graph), 'meeting': shallow,
              'cut': split.at(detector.graph, '', 1.0)}[way]
    with Pair(detector, mode='frontier', way=way, split=chosen, hedge=True, deadline_ms=LONG,
              spoil=lambda t: []) as pair:
        results = [pair.process(photograph) for _ in range(8)]
        silent = pair.device._sender.flow.silent(time.monotonic() + 1)
    assert silent and not any(r.detections.differs(expected) for r in results)
    for report in (r.report for r in results):
        assert (report.source, report.hedged, report.acknowledged) == ('device', True, 0)
        assert report.reason in ('device was first', 'edge silent')
        assert report.fallback == (report.reason == 'edge silent')
        # Nothing but computing: no wait for anybody.
        assert report.latency_ms < report.device_ms + report.preprocess_ms + 150
    # At most a window and probes, in all frames together.
    assert sum(r.report.messages for r in results) < 30


def test_a_frame_whose_link_dies_in_the_middle_ends_here(detector, photograph, expected, shallow):
    count = [0]

    def dying(tile):
        count[0] += 1
        return [tile] if count[0] <= 2 else []

    with Pair(detector, mode='frontier', way='meeting', split=shallow, hedge=True,
              deadline_ms=LONG, spoil=dying) as pair:
        result = pair.process(photograph)
    assert not result.detections.differs(expected)
    assert (result.report.source, result.report.reason) == ('device', 'device was first')
    assert not result.report.fallback and result.report.hedged


def test_a_frame_whose_link_slows_down_in_the_middle_ends_here(detector, photograph, expected):
    """Without a hedge from the start, and although the edge is heard all the time."""
    link, slow_from = Slow(detector.input_bytes / 0.4), [10**9]

    def slowing(tile):
        if tile.index == slow_from[0]:
            slow_from[0], link.rate = 10**9, link.rate / 8
        return link(tile)
    with Pair(detector, mode='offload', way='offload', tile_count=16, deadline_ms=LONG,
              message_bytes=detector.input_bytes // 40, reliable=True, spoil=slowing) as pair:
        for _ in range(4):
            report = pair.process(photograph).report
            assert (report.source, report.hedged) == ('edge', False)
        slow_from[0] = 12
        result = pair.process(photograph)
    assert not result.detections.differs(expected)
    assert (result.report.source, result.report.hedged) == ('device', True)
    assert not result.report.fallback and result.report.acknowledged


def test_the_edges_answer_ends_a_hedge(detector, photograph, expected):
    """The device is held up between two steps until the edge's answer is there."""
    with Pair(detector, mode='frontier', way='offload', hedge=True, deadline_ms=LONG) as pair:
        device, steps = pair.device, []
        rest = device._stages(detector.graph.input)

        def held(merge):
            until = time.monotonic() + 20
            while not device._job.ended.is_set() and time.monotonic() < until:
                time.sleep(0.001)
            steps.append(merge)
            return rest
        device._stages = held
        result = pair.process(photograph)
        pair.process(photograph)
    assert steps and result.report.source == 'edge' and not result.detections.differs(expected)


@pytest.mark.parametrize('share', [0.05, 0.3])
@pytest.mark.parametrize('way', ['offload', 'meeting'])
def test_lost_messages_are_sent_again(detector, photograph, expected, shallow, share, way):
    chosen = shallow if way == 'meeting' else split.offload(detector.graph)
    with Pair(detector, mode=way, way=way, split=chosen, deadline_ms=LONG, tile_count=16,
              spoil=losing(share)) as pair:
        results = [pair.process(photograph) for _ in range(6)]
    assert not any(r.detections.differs(expected) for r in results)
    # A busy machine may lose patience with a frame; what was sent again made others whole.
    assert any(r.report.source == 'edge' and r.report.resent for r in results)


def test_the_edge_may_be_replaced_in_the_middle(detector, photograph, expected, shallow):
    """What the old one had is lost; the frame ends here, and the next ones use the new one."""
    from intradp_ros.runtime.edge import EdgeSession
    count = [0]
    with Pair(detector, mode='frontier', way='meeting', split=shallow, deadline_ms=4000.0) as pair:
        old = pair.edge
        new = EdgeSession(detector, old._outlets, time.monotonic)

        def replaced(tile):
            count[0] += 1
            if count[0] == 2:
                pair.edge = new
            return [tile]
        pair.spoil = replaced
        first = pair.process(photograph)
        pair.spoil = lambda tile: [tile]
        until = time.monotonic() + 20
        while pair.process(photograph).report.source != 'edge':
            assert time.monotonic() < until
        old.close()
        assert not first.detections.differs(expected)
        assert not any(r.detections.differs(expected) for r in pair.results)


def test_stale_frames_are_cancelled_at_the_source(detector, photograph):
    """The first frame's tiles wait in a slow link; once it has ended, none of them is sent."""
    link, ended = Slow(1e9), threading.Event()

    def spoil(tile):
        link(tile)
        if tile.frame == 0:
            ended.wait(0.02)
            return []
        return [tile]

    with Pair(detector, mode='offload', way='offload', deadline_ms=300.0, spoil=spoil,
              window_bytes=1, tile_count=32) as pair:
        pair.process(photograph)
        sent = len(link.tiles)
        result = pair.process(photograph)
        assert {t.frame for t in link.tiles[sent + 1:]} <= {result.report.frame}
    assert 0 < sent < 32


def test_a_tenfold_drop_in_the_middle_of_a_frame(detector, photograph, expected, shallow):
    link = Slow(1e7)

    def dropping(tile):
        arriving = link(tile)
        link.rate = 1e6 if len(link.tiles) > 4 else 1e7
        return arriving

    with Pair(detector, mode='frontier', way='meeting', split=shallow, hedge=True,
              deadline_ms=LONG, spoil=dropping) as pair:
        result = pair.process(photograph)
        assert not result.detections.differs(expected)
        report = result.report
        if report.source == 'device':
            assert report.latency_ms < report.device_ms + report.preprocess_ms + 150


def test_the_edges_speed_is_that_of_the_whole_model(detector, photograph):
    """A deep cut leaves the edge a part; on one machine the figure is still that of all of it."""
    deep = split.at(detector.graph, '', 1.0)
    with Pair(detector, mode='cut', way='cut', split=deep, deadline_ms=LONG) as pair:
        assert pair.device.edge_seconds() == 0
        for _ in range(5):
            pair.process(photograph)
        times = pair.device._edge_times
        share, whole = times._wholes[-1]
        assert share * whole == pytest.approx(times._frames[-1] - times._afters[-1])
        assert times._afters[-1] > 0
        assert 0.1 < share < 0.95
        assert pair.device.edge_seconds() > 0


def test_a_plan_for_local_inference_still_looks_at_the_link(detector, photograph, expected):
    with Pair(detector, mode='frontier', way='local', explore=True, deadline_ms=LONG) as pair:
        begin = time.monotonic()
        reports = []
        while time.monotonic() < begin + 2.5:
            result = pair.process(photograph)
            reports.append(result.report)
            assert not result.detections.differs(expected)
    ways = [report.way for report in reports]
    assert 2 <= ways.count('offload') <= 4 and ways.count('local') > 0
    assert pair.device.link().goodput >= 0 and ways[0] == 'offload'
    # Of the first one a part, as it may be in vain.
    sent = [report.bytes for report in reports if report.way == 'offload']
    assert sent[0] < detector.input_bytes and reports[0].hedged


@pytest.mark.parametrize('ways', [('local', 'offload'), ('offload', 'local')])
def test_a_frame_now_and_then_is_done_by_the_plans_rival(detector, photograph, expected, ways):
    way, other = ways
    with Pair(detector, mode='frontier', way=way, explore=True, deadline_ms=LONG) as pair:
        pair.device.settings = dataclasses.replace(
            pair.device.settings, rival=dataclasses.replace(pair.device.settings, way=other))
        begin, seen = time.monotonic(), []
        while time.monotonic() < begin + TRIAL_PERIOD + 0.5:
            result = pair.process(photograph)
            seen.append(result.report.way)
            assert not result.detections.differs(expected)
        assert seen.count(other) == 2 and seen.count(way) > 0
        if other != 'local':
            # Nothing is tried with an edge that is not there.
            pair.device._explorer.tried, pair.matched = float('-inf'), False
            assert [pair.process(photograph).report.way for _ in range(3)] == [way] * 3
            pair.matched = True
            assert pair.process(photograph).report.way == other


def test_an_edge_that_makes_frames_late_is_offered_fewer_of_them(detector, photograph):
    """After the first ones less and less often; an edge that was not there is new."""
    def slow(tile):
        time.sleep(0.2)
        return [tile]

    def offers(pair, seconds):
        begin, ways = time.monotonic(), []
        while time.monotonic() < begin + seconds:
            ways.append(pair.process(photograph).report.way)
        return ways.count('offload')
    with Pair(detector, mode='frontier', way='local', explore=True, deadline_ms=LONG,
              spoil=slow) as pair:
        assert FIRST_EXPLORED - 1 <= offers(pair, 15.0) <= FIRST_EXPLORED + 3
        pair.matched = False
        offers(pair, 8.5)
        pair.matched, pair.spoil = True, lambda tile: [tile]
        assert offers(pair, 3.0) >= 1


def test_a_silent_edge_is_looked_at_more_often(detector, photograph, expected):
    """Nobody waits for it, and that it is back shall be seen soon."""
    with Pair(detector, mode='frontier', way='local', explore=True, deadline_ms=LONG,
              spoil=lambda tile: []) as pair:
        while pair.device.edge_alive:
            assert not pair.process(photograph).detections.differs(expected)
        begin, ways = time.monotonic(), []
        while time.monotonic() < begin + 3.3:
            ways.append(pair.process(photograph).report.way)
        assert 5 <= ways.count('offload') <= 7
        pair.spoil = lambda tile: [tile]
        while not (report := pair.process(photograph).report).acknowledged:
            assert report.source == 'device'
        assert pair.device.edge_alive


def test_without_hedge_nothing_is_computed_that_the_edge_answers(detector, photograph):
    with Pair(detector, mode='offload', way='offload', deadline_ms=LONG) as pair:
        report = pair.process(photograph).report
    assert report.source == 'edge' and report.device_ms == 0 and not report.hedged


def test_settings_change_the_way_from_frame_to_frame(detector, photograph, expected, shallow):
    with Pair(detector, mode='local', deadline_ms=LONG) as pair:
        for way, chosen in (('local', shallow), ('meeting', shallow),
                            ('offload', split.offload(detector.graph)), ('split', shallow)):
            pair.device.settings = dataclasses.replace(
                pair.device.settings, mode=way, way=way, split=chosen)
            result = pair.process(photograph)
            assert result.report.way == way and not result.detections.differs(expected)
