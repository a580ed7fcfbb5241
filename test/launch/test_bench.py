"""The nodes in the test bed: what is measured is what happened."""

import numpy as np
import pytest
from test_testbed import why_not

import bench_model
import disturbances
import runtime_checks as checks
from intradp_ros.model.detector import Detections
from testbed import summary
from testbed.bed import Processor, TestBed, default_processors
from testbed.shell import BedError
from testbed.system import System


@pytest.fixture(scope='module')
def system(tmp_path_factory):
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp('bench')
    bench_model.draw_images(folder / 'images.npy', 0)
    robot, edge = default_processors()
    with TestBed(1, 20e6, Processor(0, robot.cores), edge, folder / 'cache') as bed, \
            System(bed, folder / 'logs', bench_model.parameters('demo_detector'),
                   folder / 'images.npy', {'deadline_ms': 3000.0}) as made:
        yield made


def test_tiles_cross_the_link_and_detections_are_the_whole_models(system):
    system.set({'mode': 'offload', 'codec': 'uint8'})
    recording, = system.watch(frames=6, warmup=2)
    found = summary.summarize(recording.events, recording.used, recording.crossed)
    assert checks.delivered(found, 'offload').holds and found['frames'] == 6
    assert set(found['modes']) == {'offload/edge'}
    assert found['bytes_per_frame'] == 640 * 480 * 3
    # Headers are some per cent; part of the first frame may have crossed before counting began;
    # shared memory that crossed would have gone past the link.
    assert 0.8 < found['link_bytes_per_frame']['up'] / found['bytes_per_frame'] < 1.1
    assert found['latency_ms']['p50'] > 921600 / 20e6 * 1e3
    assert found['cpu_ms_per_frame']['edge'] > 0
    detector = bench_model.build(bench_model.parameters('demo_detector'))
    images = bench_model.draw_images(system.images, 0)
    reference = {k: detector.detect(image) for k, image in enumerate(images)}
    assert sum(map(len, reference.values()))
    frames = summary.frames(recording.events)
    assert bench_model.differing(frames, reference) == 0
    shifted = {k: reference[(k + 1) % len(images)] for k in reference}
    assert bench_model.differing(frames, shifted) > 0
    assert bench_model.agreement(frames, reference) == 1 > bench_model.agreement(frames, shifted)
    assert bench_model.agreement([], reference) is None
    nothing = dict.fromkeys(reference, Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)))
    assert bench_model.agreement(frames, nothing) is None


def test_a_mode_that_there_is_not_is_refused(system):
    with pytest.raises(BedError, match='device_node of robot 0 refused .*one of "?'):
        system.set({'mode': 'magic'})


def test_a_cut_link_costs_no_message(system):
    system.set({'mode': 'offload', 'codec': 'uint8'})
    link, cut, restored = system.bed.links[0], [], []
    recording, = system.watch(
        disturbances.again(lambda: link.set_up(False), lambda: link.set_up(True), 0.5, cut,
                           restored, (0.5, 1.0)), frames=10**6, seconds=8.0, warmup=2)
    assert len(restored) >= 2 and len(cut) - len(restored) in (0, 1)
    frames = summary.frames(recording.events)
    assert checks.delivered(summary.delivery(recording.events), 'cuts').holds
    assert any(frame.report['source'] == 'edge' for frame in frames)
    # It is up again, whatever moment the run ended at, and the edge is asked again.
    after, = system.watch(frames=10**6, seconds=4.0, warmup=3)
    assert summary.frames(after.events)[-1].report['source'] == 'edge'
