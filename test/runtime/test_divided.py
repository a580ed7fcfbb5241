"""An image divided between real sessions: what they publish is what the two parts give."""

import dataclasses
import time

import numpy as np
import pytest
from links import Pair

from intradp_ros.errors import ParameterError
from intradp_ros.model import zoo
from intradp_ros.scenes.scene import scene
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.part import Division, Part

LONG = 20000.0  # a deadline that no slow machine misses
HALF = Division(240, 16)


@pytest.fixture(scope='module')
def demo():
    return zoo.build('demo_detector', 'DEFAULT')


@pytest.fixture(scope='module')
def image():
    return scene(300).image


@pytest.fixture(scope='module')
def parts(demo, image):
    """Detections of either part, computed here."""
    pixels, geometry = demo.preprocess(image)
    engine, found = Engine(demo.graph), []
    for lower in (False, True):
        part = Part(engine, HALF, lower)
        frame = part.engine.start()
        part.feed(frame, 0, len(pixels), pixels)
        found.append(demo.postprocess_part(part.outputs(frame), geometry))
    return found


@pytest.fixture(scope='module')
def expected(demo, parts):
    return demo.join(parts)


@pytest.fixture(scope='module')
def whole(demo, image):
    return demo.detect(image)


def divided(detector, division=HALF, **settings):
    return Pair(detector, mode='divided', division=division,
                **({'deadline_ms': LONG} | settings))


@pytest.mark.parametrize('tile_count', [1, 8, 50])
@pytest.mark.parametrize('hedge', [False, True])
def test_both_parts_are_joined_once(demo, image, expected, tile_count, hedge):
    with divided(demo, tile_count=tile_count, hedge=hedge) as pair:
        results = [pair.process(image) for _ in range(3)]
        time.sleep(0.1)
        assert len(pair.results) == 3 and not pair.warnings
    joined = [r for r in results if r.report.source == 'both']
    assert hedge or len(joined) == 3
    for result in joined:
        report = result.report
        assert not result.detections.differs(expected)
        assert (report.way, report.exact, report.halo_px) == ('divided', False, 16)
        assert (report.device_rows, report.edge_rows, report.merge) == (240, 240, 'input')
        assert report.reason == '' and not report.fallback and report.device_ms > 0
        # Rows from 16 above the cut on, and nothing else.
        assert report.resent or report.bytes == 256 * 640 * 3


@pytest.mark.parametrize('cut', [24, 470])
def test_uneven_parts(demo, image, cut):
    """Where levels of the pyramid have no row on one side, the other one has them all."""
    with divided(demo, Division(cut, 480)) as pair:
        result = pair.process(image)
    # With all the halo that is needed nothing is lost.
    assert result.report.source == 'both'
    assert not result.detections.differs(demo.detect(image), 1e-3, 0.1)


def test_a_dead_link_is_exact_and_reported(demo, image, whole):
    with divided(demo, deadline_ms=1500.0) as pair:
        pair.mute = True
        first, second = pair.process(image), pair.process(image)
    for result in (first, second):
        report = result.report
        assert not result.detections.differs(whole)
        assert (report.source, report.reason, report.exact) == ('device', 'edge silent', True)
    # No time is spent on a part that nobody will complete.
    assert second.report.device_ms < first.report.device_ms


def test_a_refusal_ends_the_part(demo, image, whole):
    other = zoo.build('demo_detector', 'DEFAULT', score_threshold=0.3)
    with Pair(demo, other, mode='divided', division=HALF, deadline_ms=LONG) as pair:
        result = pair.process(image)
    assert result.report.fallback and other.identity in result.report.reason
    assert not result.detections.differs(whole)


def test_an_answer_that_comes_twice_counts_once(demo, image, expected):
    with divided(demo) as pair:
        outlets = pair.edge._outlets

        def twice(*result):
            outlets.result(*result)
            outlets.result(*result)

        pair.edge._outlets = dataclasses.replace(outlets, result=twice)
        result = pair.process(image)
        time.sleep(0.1)
        assert len(pair.results) == 1
    assert not result.detections.differs(expected)


def test_ways_change_from_frame_to_frame(demo, image, expected, whole):
    with divided(demo) as pair:
        for division in (HALF, None, HALF, Division(96, 64)):
            pair.device.settings = dataclasses.replace(
                pair.device.settings, division=division, way='divided' if division else 'offload')
            result = pair.process(image)
            assert result.report.source == ('both' if division else 'edge')
            assert result.report.exact == (division is None)
            if division in (HALF, None):
                assert not result.detections.differs(expected if division else whole)


def test_the_edges_time_is_scaled_to_the_whole_model(demo, image):
    """Half of the rows take about half of the time: one core ran both, so the ratio is near 1."""
    with divided(demo) as pair:
        for _ in range(3):
            pair.process(image)
        times = pair.device._edge_times
        shares = [(a - c) / b for a, (_, b), c in zip(times._frames, times._wholes, times._afters)]
    assert shares and shares == pytest.approx([256 / 480] * len(shares))


@pytest.mark.parametrize('change,why', [
    ({'cut_row': 480}, 'cannot be divided at row 480'),
    ({'cut_row': 65535}, 'cannot be divided'),
    ({'cut_row': 479}, 'needs rows of the outputs'),
    ({'cut_row': 120}, 'others of its frame at row 240'),
    ({'halo': 17}, 'halo 17'),
    ({'cut_row': 0}, 'others of its frame'),
    ({'tensor': 'merge'}, 'only input rows'),
])
def test_nonsense_is_counted_and_leaves_the_frame_alone(demo, image, expected, change, why):
    merge = next(t.id for t in demo.graph.merge_candidates() if t.id != demo.graph.input)
    change = {k: merge if v == 'merge' else v for k, v in change.items()}

    def spoil(tile):
        return [tile, dataclasses.replace(tile, **change)] if tile.index == 0 else [tile]

    with divided(demo, spoil=spoil) as pair:
        result = pair.process(image)
        assert not result.detections.differs(expected)
        assert pair.edge.robots['/robot'].counts['malformed'] >= 1
        assert any(why in w for w in pair.warnings)


def test_many_divisions_are_not_kept(demo, image):
    with divided(demo) as pair:
        for cut in range(40, 440, 80):
            pair.device.settings = dataclasses.replace(
                pair.device.settings, division=Division(cut, 0))
            assert pair.process(image).report.source == 'both'
        assert pair.edge._part.cache_info().currsize == 4
        assert pair.device._part._part.cache_info().currsize == 4


def test_who_cannot_be_divided_says_so(detector, photograph):
    """A detector with operators that need all rows: an edge drops its divided tiles."""
    with Pair(detector, mode='offload', deadline_ms=1500.0,
              spoil=lambda t: [dataclasses.replace(t, cut_row=160)]) as pair:
        report = pair.process(photograph).report
        assert report.source == 'device'
        assert any('needs all rows' in w for w in pair.warnings)
        assert not pair.edge.robots['/robot'].runs


def test_parts_of_detectors_of_regions_are_refused():
    detector = zoo.build('fasterrcnn_mobilenet_v3_large_320_fpn', input_size=(64, 64))
    none = detector.detect(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ParameterError, match='cannot be divided'):
        detector.join([none])
