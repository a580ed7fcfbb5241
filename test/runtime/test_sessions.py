"""Device and edge together: one equal result a frame, whatever happens to tiles and answers."""

import dataclasses
import random
import threading
import time

import numpy as np
import pytest
from links import Pair

from intradp_ros.errors import ImageError, ParameterError
from intradp_ros.model import zoo
from intradp_ros.runtime.wire import AckState, CameraFrame, Stamp
from intradp_ros.tiling import split
from intradp_ros.tiling.rows import covers, union

LONG = 20000.0  # a deadline that no slow machine misses


@pytest.fixture(scope='module')
def expected(detector, photograph):
    found = detector.detect(photograph)
    assert len(found) > 0
    return found


@pytest.mark.parametrize('codec', ['uint8', 'zlib'])
@pytest.mark.parametrize('tile_count', [1, 7, 64])
def test_offload_equals_the_whole_model(detector, photograph, expected, codec, tile_count):
    with Pair(detector, codec=codec, tile_count=tile_count, deadline_ms=LONG) as pair:
        result = pair.process(photograph)
    assert not result.detections.differs(expected)
    report = result.report
    assert (report.source, report.fallback, report.reason) == ('edge', False, '')
    assert report.tiles == tile_count and report.messages >= tile_count
    assert codec != 'uint8' or report.resent or report.bytes == detector.input_bytes
    assert report.edge_compute_ms > 0 and report.device_ms == 0


def test_detections_come_first_and_the_edges_last_word_is_in_the_report(detector, photograph):
    said = []
    with Pair(detector, deadline_ms=LONG) as pair:
        outlets, start = pair.edge._outlets, pair.device._engine.start
        pair.edge._outlets = dataclasses.replace(
            outlets, ack=lambda name, ack: (said.append(ack.state), outlets.ack(name, ack)),
            result=lambda *result: (said.append('detections'), outlets.result(*result)))
        pair.device._engine.start = lambda **what: (said.append('begun'), start(**what))[1]
        report = pair.process(photograph).report
    assert said[-2:] == ['detections', AckState.DONE]
    assert report.edge_compute_ms > 0 and report.acknowledged == report.messages
    assert 'begun' not in said  # nothing to compute here


def test_nothing_is_woken_by_a_frames_end_before_its_detections_are_out(detector, photograph):
    """And a publisher that fails holds nothing up, either."""
    woken = []
    with Pair(detector, deadline_ms=LONG) as pair:
        device = pair.device

        def fails(stamp, found):
            woken.append(device._job.changed.is_set())
            raise RuntimeError('the publisher is gone')
        device._outlets, outlets = \
            dataclasses.replace(device._outlets, detections=fails), device._outlets
        begin = time.monotonic()
        assert pair.process(photograph).report.source == 'edge'
        assert time.monotonic() - begin < LONG / 1e3
        device._outlets = outlets
        assert pair.process(photograph).report.source == 'edge' and len(pair.heard) == 1
    assert woken == [False] and 'the publisher is gone' in ''.join(pair.warnings)


def test_a_last_word_that_is_lost_is_not_waited_for(detector, photograph, expected):
    with Pair(detector, deadline_ms=LONG) as pair:
        outlets = pair.edge._outlets
        pair.edge._outlets = dataclasses.replace(outlets, ack=lambda name, ack: (
            ack.state is AckState.DONE or outlets.ack(name, ack)))
        result = pair.process(photograph)
    assert result.report.source == 'edge' and not result.detections.differs(expected)
    assert result.report.edge_compute_ms == 0


def test_local_sends_nothing(detector, photograph, expected):
    with Pair(detector, mode='local', deadline_ms=LONG) as pair:
        result = pair.process(photograph)
    assert not result.detections.differs(expected)
    assert (result.report.source, result.report.fallback) == ('device', False)
    assert result.report.messages == 0 and not pair.edge.robots


def test_jpeg_is_smaller(detector, photograph):
    with Pair(detector, codec='jpeg', deadline_ms=LONG) as pair:
        report = pair.process(photograph).report
    assert report.source == 'edge' and report.bytes < detector.input_bytes / 3


def test_any_order_and_repetition(detector, photograph, expected):
    held, chance = [], random.Random(0)

    def shuffle(tile):
        held.append(tile)
        if len(held) < 24:
            return []
        arriving = held * 2
        chance.shuffle(arriving)
        return arriving

    with Pair(detector, spoil=shuffle, tile_count=24, window_bytes=10**7, reliable=True,
              deadline_ms=LONG) as pair:
        result = pair.process(photograph)
        counts = pair.edge.robots['/robot'].counts
    assert result.report.source == 'edge' and not result.detections.differs(expected)
    assert counts['accepted'] == 24 and counts['duplicate'] + counts['late'] == 24


def test_a_lost_tile_ends_in_a_local_result_by_the_deadline(detector, photograph, expected):
    with Pair(detector, spoil=lambda t: [] if t.index == 3 else [t], deadline_ms=1500.0) as pair:
        result = pair.process(photograph)
    report = result.report
    assert not result.detections.differs(expected)
    assert (report.mode, report.source, report.fallback) == ('offload', 'device', True)
    assert report.reason == 'edge silent'
    assert 0 < report.acknowledged < report.messages
    assert report.resent > 0  # the one that is lost every time, and nothing else
    assert report.messages == report.tiles + report.resent


def test_a_silent_edge_is_not_waited_for_twice_and_is_found_again(detector, photograph, expected):
    with Pair(detector, deadline_ms=3000.0) as pair:
        assert pair.process(photograph).report.source == 'edge'
        pair.mute = True
        first = pair.process(photograph).report
        second = pair.process(photograph).report
        assert first.fallback and second.fallback
        # The first frame waited for the edge (at least as long as `patience` says, and not until
        # its deadline), the second did not.
        waited = [r.latency_ms - r.device_ms for r in (first, second)]
        assert waited[1] + 150 < waited[0] < 3000
        assert not pair.device.edge_alive
        pair.mute = False
        deadline = time.monotonic() + 20
        while pair.process(photograph).report.fallback and time.monotonic() < deadline:
            time.sleep(0.05)
        assert pair.device.edge_alive
        assert not any(r.detections.differs(expected) for r in pair.results)


def test_no_edge_means_local_at_once(detector, photograph):
    with Pair(detector, deadline_ms=LONG) as pair:
        pair.matched = False
        report = pair.process(photograph).report
    assert (report.source, report.reason, report.messages) == ('device', 'no edge', 0)
    assert report.latency_ms < LONG / 4


def test_another_model_is_refused_by_name(detector, photograph, expected):
    other = zoo.build(detector.name, seed=1)
    with Pair(detector, other, deadline_ms=LONG) as pair:
        result = pair.process(photograph)
    report = result.report
    assert report.fallback and not result.detections.differs(expected)
    assert detector.identity in report.reason and other.identity in report.reason
    assert report.latency_ms < LONG / 4
    assert pair.edge.robots['/robot'].counts['refused'] > 0


def test_frames_come_in_order_and_once(detector, photograph):
    """A camera that is too fast: frames are dropped at the source, and counted."""
    with Pair(detector, deadline_ms=400.0) as pair:
        for i in range(120):
            pair.mute = 40 < i < 80
            pair.submit(photograph)
            time.sleep(0.005)
        last = pair._stamps
        deadline = time.monotonic() + 20
        while pair.results[-1].stamp.sec != last and time.monotonic() < deadline:
            time.sleep(0.01)
        stamps = [r.stamp.sec for r in pair.results]
        reports = [r.report for r in pair.results]
    assert stamps == sorted(set(stamps)) == pair.heard and stamps[-1] == last
    assert [r.frame for r in reports] == list(range(len(reports)))
    assert reports[-1].images_received == 120 == len(reports) + reports[-1].images_dropped


def test_a_broken_image_is_counted_and_the_next_one_works(detector, photograph):
    def broken():
        raise ImageError('no such encoding')

    with Pair(detector, deadline_ms=LONG) as pair:
        pair.device.submit(CameraFrame(Stamp(7, 0, ''), time.monotonic(), 0.0, broken))
        while not pair.warnings:
            time.sleep(0.01)
        assert 'no such encoding' in pair.warnings[0]
        assert pair.process(photograph).report.images_rejected == 1


def test_settings_change_at_a_frame_boundary(detector, photograph):
    with Pair(detector, tile_count=8, deadline_ms=LONG) as pair:
        assert pair.process(photograph).report.tiles == 8
        pair.device.settings = dataclasses.replace(pair.device.settings, tile_count=3, plan=9)
        report = pair.process(photograph).report
    assert (report.tiles, report.plan) == (3, 9)


def test_closing_in_the_middle_leaves_no_thread(detector, photograph):
    before = threading.active_count()
    for _ in range(3):
        pair = Pair(detector, deadline_ms=LONG, spoil=lambda t: [])
        pair.submit(photograph)
        pair.__exit__()
    assert threading.active_count() == before


def test_two_robots_keep_apart(detector, photograph):
    """The same session and frame numbers under two names are two frames."""
    flipped = np.ascontiguousarray(photograph[:, ::-1])
    with Pair(detector, deadline_ms=LONG) as one, Pair(detector, deadline_ms=LONG) as two:
        two.device.number = one.device.number
        answers = {'/one': one, '/two': two}
        edge = one.edge
        edge._outlets = dataclasses.replace(
            edge._outlets,
            ack=lambda name, ack: answers[name].device.on_ack(ack),
            result=lambda name, stamp, found: answers[name].device.on_detections(stamp, found))
        one.spoil = lambda tile: edge.on_tile('/one', tile) or []
        two.device._sender._publish = lambda tile: edge.on_tile('/two', tile)
        first, second = one.process(photograph), two.process(flipped)
    assert not first.detections.differs(detector.detect(photograph))
    assert not second.detections.differs(detector.detect(flipped))
    assert first.report.source == second.report.source == 'edge'


@pytest.mark.parametrize('share', [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize('merge', ['', 'backbone.features.0.3.add_1'], ids=['bottleneck', 'early'])
def test_split_equals_the_whole_model(detector, photograph, expected, merge, share):
    chosen = split.at(detector.graph, merge, share)
    with Pair(detector, mode='split', split=chosen, deadline_ms=LONG) as pair:
        result = pair.process(photograph)
    report = result.report
    assert report.source == 'edge' and not result.detections.differs(expected)
    rows = detector.graph.tensors[chosen.merge].rows
    assert report.device_rows == chosen.device_rows == (round(share * rows) if share else 0)
    assert report.edge_rows == rows - report.device_rows
    # A whole cut sends no pixel, half of one sends less than all of them.
    raw = (320 - chosen.raw_begin) * 320 * 3
    merged = report.device_rows * detector.graph.tensors[chosen.merge].bytes // rows
    own = raw + (merged if share else 0)
    assert report.bytes == own if not report.resent else report.bytes > own


def test_split_with_a_dead_edge_is_finished_here(detector, photograph, expected):
    chosen = split.at(detector.graph, '', 0.5)
    with Pair(detector, mode='split', split=chosen, deadline_ms=1500.0) as pair:
        pair.mute = True
        result = pair.process(photograph)
    assert not result.detections.differs(expected)
    assert (result.report.source, result.report.reason) == ('device', 'edge silent')
    assert result.report.device_rows == chosen.device_rows


def rows_of(held, tensor, begin, end):
    """Whether tiles cover rows [begin, end) of a tensor."""
    return covers(union((t.row_begin, t.row_end) for t in held if t.tensor == tensor), begin, end)


def test_split_in_any_order(detector, photograph, expected):
    held, chance = [], random.Random(1)

    def shuffle(tile):
        held.append(tile)
        return []

    chosen = split.at(detector.graph, '', 0.5)
    with Pair(detector, mode='split', split=chosen, deadline_ms=LONG, spoil=shuffle,
              window_bytes=10**7, reliable=True) as pair:
        pair.submit(photograph)
        until = time.monotonic() + 20
        while any(not rows_of(held, t, *span) for t, span in {
                0: (chosen.raw_begin, 320), chosen.merge: (0, chosen.device_rows)}.items()):
            assert time.monotonic() < until
            time.sleep(0.02)
        chance.shuffle(held)
        for tile in held * 2:
            pair.edge.on_tile('/robot', tile)
            time.sleep(0.002)
        while not pair.results:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert not pair.results[0].detections.differs(expected)
    assert pair.results[0].report.source == 'edge'


def test_merge_tensors_that_are_not_there_are_refused(detector):
    with pytest.raises(ParameterError, match='backbone.features'):
        split.at(detector.graph, 'no.such.tensor', 0.5)
