"""The two halves of every torchvision detector give the numbers of its own forward."""

import pytest
import torch
import torchvision

from intradp_ros.errors import ModelError
from intradp_ros.model import families, zoo
from intradp_ros.model.detector import Detections

BUILDERS = torchvision.models.list_models(module=torchvision.models.detection)


def test_all_builders_are_in_the_zoo():
    assert set(BUILDERS) <= set(zoo.names())
    assert len(BUILDERS) >= 11


@pytest.mark.parametrize('name', BUILDERS)
def test_halves_equal_the_whole(name):
    options = {'box_score_thresh': 0.01} if 'rcnn' in name else {}
    model = zoo.module(name, **options)
    height, width = getattr(model.transform, 'fixed_size', None) or (128, 160)
    if 'ssd' not in name:
        # No resizing: the input has its size already.
        model.transform.min_size, model.transform.max_size = (height,), 10 * width
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8,
                          generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = model([image / 255])[0]
        dense, decode = families.split(model)
        boxes, scores, labels = decode(dense(image[None]), (height, width))
    expected = Detections(*(whole[k].numpy() for k in ('boxes', 'scores', 'labels')))
    found = Detections(boxes.numpy(), scores.numpy(), labels.numpy())
    assert len(expected) > 0
    assert not found.differs(expected)


def test_raw_outputs_keep_rows():
    """Raw outputs of a one-stage detector have rows in dimension 2, in proportion."""
    detector = zoo.build('retinanet_resnet50_fpn', input_size=(128, 160))
    raw = detector.dense(torch.zeros(1, 3, 128, 160, dtype=torch.uint8))
    assert [tuple(r.shape[2:]) for r in raw[::2]] == [(16, 20), (8, 10), (4, 5), (2, 3), (1, 2)]


def test_other_modules_are_refused():
    with pytest.raises(ModelError, match='ResNet'):
        families.split(torchvision.models.resnet18())
