"""The two halves of torchvision's models give the numbers of their own forward."""

import numpy as np
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


@pytest.mark.parametrize('name', ['mobilenet_v2', 'squeezenet1_1', 'inception_v3'])
def test_a_classifiers_detections_are_its_best_classes(name):
    classifier = zoo.build(name, score_threshold=0.0)
    pixels = np.random.default_rng(1).integers(0, 256, classifier.input_shape, np.uint8)
    normalize = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    image = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    for channel, mean, std in zip(image, normalize.mean, normalize.std):
        channel.sub_(mean).div_(std)
    with torch.inference_mode():
        scores = zoo.module(name)(image[None])[0].softmax(0).numpy()
    best = np.argsort(-scores)[:5]
    height, width = classifier.input_shape[:2]
    boxes = np.tile(np.array([0, 0, width, height], np.float32), (5, 1))
    assert not classifier.detect(pixels).differs(Detections(boxes, scores[best], best), 1e-5)


def test_a_classifier_says_no_more_than_it_is_sure_of():
    logits = torch.log(torch.tensor([[0.1, 0.5, 0.0, 0.25, 0.06, 0.04, 0.05]]))

    def classes(threshold, most):
        boxes, scores, labels = families.classify(threshold, most)((logits,), (3, 4))
        assert boxes.tolist() == [[0, 0, 4, 3]] * len(labels) and len(scores) == len(labels)
        return labels.tolist()
    assert classes(0.0, 100) == [1, 3, 0, 4, 6]
    assert classes(0.08, 100) == [1, 3, 0]
    assert classes(0.0, 2) == [1, 3]
    assert classes(0.9, 100) == []
