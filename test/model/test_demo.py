from importlib import resources

import numpy as np
import pytest
import torch
from torch import nn

from intradp_ros.errors import ModelError
from intradp_ros.model import demo, zoo
from intradp_ros.model.accuracy import Truth, measure
from intradp_ros.scenes.objects import CLASSES
from intradp_ros.scenes.scene import scene


@pytest.fixture(scope='module')
def detector():
    return zoo.build('demo_detector', 'DEFAULT', score_threshold=0.01)


@pytest.fixture(scope='module')
def lively():
    """Random weights under which every activation varies: what matters here is the structure."""
    return zoo.build('demo_detector', 'random', input_size=(256, 64)).dense


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, 3, height, width), generator=generator, dtype=torch.uint8)


def mean_precision(found_by, seeds) -> float:
    shown = [scene(seed) for seed in seeds]
    return measure([Truth(s.boxes, s.labels) for s in shown],
                   [found_by.detect(s.image) for s in shown]).map_50


def test_it_finds_objects_in_scenes_that_it_never_saw(detector):
    seeds = range(1000, 1016)
    assert mean_precision(detector, seeds) > 0.75
    untrained = zoo.build('demo_detector', 'random', score_threshold=0.01)
    assert mean_precision(untrained, seeds) < 0.05


def test_the_weights_are_small_and_come_with_the_package(detector):
    path = resources.files('intradp_ros.model') / demo.WEIGHTS
    assert len(path.read_bytes()) < 8e6
    assert detector.labels == CLASSES and len(CLASSES) >= 8
    assert sum(p.numel() for p in detector.dense.parameters()) < 2e6


def multiply_adds(net: nn.Module, image: torch.Tensor) -> dict[str, int]:
    """Multiply-adds of each convolution, from the shapes that it really sees."""
    counts = {}

    def count(name):
        def hook(layer, _, output):
            counts[name] = output.numel() * layer.weight[0].numel()
        return hook

    hooks = [layer.register_forward_hook(count(name)) for name, layer in net.named_modules()
             if isinstance(layer, nn.Conv2d)]
    with torch.inference_mode():
        net(image)
    for hook in hooks:
        hook.remove()
    return counts


def test_it_is_light_and_a_quarter_of_it_lies_before_the_narrow_tensor(detector):
    counts = multiply_adds(detector.dense, noise(480, 640))
    before = sum(n for name, n in counts.items() if name.startswith('narrow.'))
    assert sum(counts.values()) < 1e9
    assert 0 < before <= sum(counts.values()) / 4
    narrow = detector.dense.narrow(detector.dense.normalize(noise(480, 640)))
    assert narrow.shape == (1, demo.NARROW, 60, 80) and demo.NARROW <= 24
    assert 4 * narrow.numel() < 0.34 * detector.input_bytes


def test_nothing_but_the_narrow_tensor_crosses_there(lively):
    """With that tensor of another image the outputs are those of that image."""
    one, other = noise(64, 64, 1), noise(64, 64, 2)
    with torch.inference_mode():
        expected = lively(other)
        stored = lively.narrow(lively.normalize(other))
        hook = lively.narrow.register_forward_hook(lambda *_: stored)
        exchanged = lively(one)
        hook.remove()
        assert any(not torch.equal(a, b) for a, b in zip(lively(one), expected))
    for a, b in zip(exchanged, expected):
        torch.testing.assert_close(a, b)


def changed_rows(function, image: torch.Tensor, row: int) -> list[list[int]]:
    """Which rows of each output change with one row of the image."""
    other = image.clone()
    other[:, :, row] = 255 - other[:, :, row]
    with torch.inference_mode():
        return [torch.nonzero((a - b).abs().amax((0, 1, 3)) > 0)[:, 0].tolist()
                for a, b in zip(function(image), function(other))]


def test_each_row_of_the_narrow_tensor_sees_few_rows_of_the_image(lively):
    image = noise(128, 64)
    seen = {row: set() for row in range(16)}
    for row in range(128):
        for narrow_row in changed_rows(lambda x: [lively.narrow(lively.normalize(x))], image,
                                       row)[0]:
            seen[narrow_row].add(row)
    extents = [max(rows) - min(rows) + 1 for rows in seen.values()]
    assert max(extents) <= 64
    # As wide as the kernels say: 3, then two more rows at strides 2, 4 and 4.
    assert max(extents) == 3 + 2 * 2 + 2 * 4 + 2 * 4


def test_every_output_is_local_in_a_tall_image(lively):
    """A global operator anywhere would carry a change of one row to every row."""
    for stride, of_class, of_box in zip(
            demo.STRIDES, *(iter(changed_rows(lively, noise(2560, 32), 1280)),) * 2):
        for rows in (of_class, of_box):
            assert rows and len(rows) < 2560 / stride / 2
            assert min(rows) > 0 and max(rows) < 2560 / stride - 1


def test_a_batch_gives_what_its_images_give_alone(detector):
    images = torch.cat([noise(64, 96, i) for i in range(3)])
    with torch.inference_mode():
        together = detector.dense(images)
        for i in range(3):
            for a, b in zip(together, detector.dense(images[i:i + 1])):
                torch.testing.assert_close(a[i:i + 1], b, rtol=1e-4, atol=1e-4)


def raw_with(cells, height=96, width=128):
    """Head outputs that are background but for cells (level, row, column, class, logit, sides)."""
    raw = []
    for stride in demo.STRIDES:
        shape = height // stride, width // stride
        raw += [torch.full((1, len(CLASSES), *shape), -9.0), torch.zeros(1, 4, *shape)]
    for level, row, column, label, logit, sides in cells:
        raw[2 * level][0, label, row, column] = logit
        raw[2 * level + 1][0, :, row, column] = torch.tensor(sides).div(demo.STRIDES[level]).log()
    return tuple(raw)


def test_decode_puts_boxes_where_the_cells_say():
    decode = demo.decoder(demo.Settings())
    boxes, scores, labels = decode(raw_with([(0, 5, 6, 2, 2.0, [10.0, 20, 30, 24]),
                                             (1, 1, 2, 7, 1.0, [24.0, 8, 8, 16])]), (96, 128))
    # Centres: ((6 + 0.5) * 8, (5 + 0.5) * 8) and ((2 + 0.5) * 16, (1 + 0.5) * 16).
    torch.testing.assert_close(boxes, torch.tensor([[42.0, 24, 82, 68], [16, 16, 48, 40]]))
    torch.testing.assert_close(scores, torch.tensor([2.0, 1.0]).sigmoid())
    assert labels.tolist() == [2, 7]


def test_decode_drops_duplicates_low_scores_and_what_is_outside():
    cells = [(0, 5, 6, 2, 2.0, [20.0, 20, 20, 20]), (0, 5, 7, 2, 1.5, [28.0, 20, 12, 20]),
             (0, 5, 6, 3, 1.0, [20.0, 20, 20, 20]), (2, 0, 0, 1, -3.0, [9.0, 9, 9, 9]),
             (0, 0, 0, 4, 1.8, [50.0, 50, 10, 10])]
    boxes, _, labels = demo.decoder(demo.Settings(score_threshold=0.3))(raw_with(cells), (96, 128))
    assert labels.tolist() == [2, 4, 3]
    assert boxes[1].tolist() == [0, 0, 14, 14]
    most = demo.decoder(demo.Settings(max_detections=1))(raw_with(cells), (96, 128))
    assert most[2].tolist() == [2]


def test_another_input_size_finds_the_same_object_there(detector):
    wide = zoo.build('demo_detector', 'DEFAULT', input_size=(256, 320), score_threshold=0.01)
    shown = [scene(seed, size=(256, 320)) for seed in range(8)]
    reached = measure([Truth(s.boxes, s.labels) for s in shown],
                      [wide.detect(s.image) for s in shown])
    assert reached.map_50 > 0.6
    assert wide.fingerprint != detector.fingerprint
    with pytest.raises(ModelError, match='multiples of 32'):
        zoo.build('demo_detector', input_size=(250, 320))


def test_weights_that_do_not_fit_are_refused(tmp_path):
    torch.save({'narrow.0.0.weight': torch.zeros(1)}, tmp_path / 'other.pt')
    with pytest.raises(ModelError, match='does not hold weights for demo_detector'):
        zoo.build('demo_detector', str(tmp_path / 'other.pt'))
    with pytest.raises(ModelError, match='no weights file'):
        zoo.build('demo_detector', str(tmp_path / 'none.pt'))


def test_thresholds_are_part_of_the_fingerprint(detector):
    assert zoo.build('demo_detector', 'DEFAULT').fingerprint != detector.fingerprint
    again = zoo.build('demo_detector', 'DEFAULT', score_threshold=0.01)
    assert again.fingerprint == detector.fingerprint


def test_detections_are_in_pixels_of_the_source(detector):
    """A scene shown twice as large gives boxes twice as large."""
    shown = scene(1003).image
    twice = np.repeat(np.repeat(shown, 2, 0), 2, 1)
    small, large = detector.detect(shown), detector.detect(twice)
    best = small.scores > 0.4
    assert best.any()
    np.testing.assert_allclose(large.boxes[:best.sum()], 2 * small.boxes[best], atol=0.05)
