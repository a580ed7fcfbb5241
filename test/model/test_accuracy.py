import numpy as np
import pytest

from intradp_ros.errors import ParameterError
from intradp_ros.model.accuracy import Truth, count_found, match, measure
from intradp_ros.model.detector import Detections


def detections(*rows) -> Detections:
    """Rows (left, top, right, bottom, score, label)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def truth(*rows, ignored=None) -> Truth:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Truth(table[:, :4], table[:, 4].astype(np.int64),
                 None if ignored is None else np.array(ignored))


BOX = [10, 10, 50, 50]
OTHER = [100, 100, 160, 140]


def test_finding_everything_is_one_and_nothing_is_zero():
    there = [truth([*BOX, 0], [*OTHER, 3])]
    perfect = measure(there, [detections([*BOX, 0.9, 0], [*OTHER, 0.8, 3])])
    assert [perfect.map_50, perfect.map_50_95] == pytest.approx([1, 1])
    assert perfect.by_class == pytest.approx({0: 1, 3: 1})
    nothing = measure(there, [detections()])
    assert nothing.map_50 == nothing.map_50_95 == 0


def test_a_false_detection_between_two_finds_costs_what_coco_says():
    """Precision is 1 up to recall 0.5 (51 of 101 points), then 2/3."""
    reached = measure([truth([*BOX, 0], [*OTHER, 0])],
                      [detections([*BOX, 0.9, 0], [200, 200, 220, 220, 0.8, 0], [*OTHER, 0.7, 0])])
    assert reached.map_50 == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-6)


def test_a_box_of_iou_two_thirds_counts_up_to_its_threshold():
    """IoU 0.667 passes the thresholds 0.5, 0.55, 0.6 and 0.65: four of ten."""
    reached = measure([truth([0, 0, 40, 40, 1])], [detections([0, 8, 40, 48, 0.9, 1])])
    assert reached.map_50 == pytest.approx(1)
    assert reached.map_50_95 == pytest.approx(0.4)


def test_a_right_box_of_the_wrong_class_finds_nothing():
    assert measure([truth([*BOX, 0])], [detections([*BOX, 0.9, 1])]).map_50 == 0


def test_ignored_objects_may_be_found_or_missed():
    there = [truth([*BOX, 0], [*OTHER, 0], ignored=[False, True])]
    both = measure(there, [detections([*BOX, 0.8, 0], [*OTHER, 0.9, 0])])
    one = measure(there, [detections([*BOX, 0.8, 0])])
    assert [both.map_50, one.map_50] == pytest.approx([1, 1])


def test_measuring_writes_nothing_to_stdout(capsys):
    measure([truth([*BOX, 0])], [detections([*BOX, 0.9, 0])])
    assert capsys.readouterr().out == ''


def test_undefined_accuracy_is_refused():
    with pytest.raises(ParameterError, match='1 images with truth against 2'):
        measure([truth([*BOX, 0])], [detections(), detections()])
    with pytest.raises(ParameterError, match='nothing to be found'):
        measure([truth([*BOX, 0], ignored=[True])], [detections([*BOX, 0.9, 0])])


def test_each_object_is_found_once_by_the_best_score():
    pairs = match(truth([*BOX, 0], [*OTHER, 1]),
                  detections([*BOX, 0.5, 0], [*BOX, 0.9, 0], [*OTHER, 0.8, 0], [*OTHER, 0.7, 1]))
    assert pairs.tolist() == [-1, 0, -1, 1]
    assert match(truth(), detections([*BOX, 0.5, 0])).tolist() == [-1]
    assert match(truth([*BOX, 0]), detections()).tolist() == []


def test_finds_are_counted_of_what_was_to_be_found():
    there = truth([*BOX, 0], [*OTHER, 1], [300, 300, 330, 330, 1], ignored=[False, True, False])
    assert count_found(there, detections([*BOX, 0.9, 0], [*OTHER, 0.8, 1])) == (1, 2)
    assert count_found(there, detections()) == (0, 2)
    assert count_found(truth(), detections([*BOX, 0.9, 0])) == (0, 0)
