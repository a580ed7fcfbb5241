"""Building detectors: seeds, files, and clear errors."""

import pickle

import pytest
import torch

from intradp_ros.errors import ModelError
from intradp_ros.model import zoo

NAME = 'ssdlite320_mobilenet_v3_large'


class Evil:
    """Would leave a file behind if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, 'w'))


def test_a_seed_decides_the_fingerprint(detector):
    same = zoo.build(NAME, score_threshold=0.001, max_detections=50)
    other = zoo.build(NAME, seed=1, score_threshold=0.001, max_detections=50)
    assert same.fingerprint == detector.fingerprint != other.fingerprint


def test_thresholds_are_part_of_the_fingerprint(detector):
    assert zoo.build(NAME, score_threshold=0.2, max_detections=50).fingerprint \
        != detector.fingerprint


def test_random_weights_leave_the_callers_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    zoo.build(NAME)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
def test_weights_from_a_file(tmp_path, suffix):
    model = zoo.module(NAME, seed=3)
    path = tmp_path / f'weights{suffix}'
    if suffix == '.pt':
        torch.save(model.state_dict(), path)
    else:
        from safetensors.torch import save_file
        save_file(model.state_dict(), path)
    assert zoo.build(NAME, str(path)).fingerprint == zoo.build(NAME, seed=3).fingerprint


def test_a_file_with_code_is_refused_and_not_run(tmp_path):
    mark, path = tmp_path / 'mark', tmp_path / 'evil.pt'
    path.write_bytes(pickle.dumps(Evil(str(mark))))
    with pytest.raises(ModelError, match='evil.pt'):
        zoo.build(NAME, str(path))
    assert not mark.exists()


def test_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / 'other.pt'
    torch.save({'x': torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=NAME):
        zoo.build(NAME, str(path))


@pytest.mark.parametrize('arguments, text', [
    (('yolo',), 'ssd300_vgg16'),
    ((NAME, '/nowhere/weights.pt'), 'no weights file'),
    (('retinanet_resnet50_fpn', 'random', 0, (100, 100)), 'multiples of 32'),
    (('alexnet', 'random', 0, (60, 80)), 'alexnet needs an input of at least 63x63'),
    (('vit_b_32', 'random', 0, (224, 256)), 'vit_b_32 needs an input of 224x224 pixels, got 256'),
    (('mobilenet_v2', '/nowhere/weights.pt'), 'no weights file'),
])
def test_errors_say_what_to_do(arguments, text):
    with pytest.raises(ModelError, match=text):
        zoo.build(*arguments)


def test_classifiers_have_their_own_size_normalisation_and_classes():
    classifier = zoo.build('mobilenet_v3_small')
    assert classifier.input_shape == (224, 224, 3) and len(classifier.labels) == 1000
    assert classifier.labels[281] == 'tabby'
    assert zoo.build('mobilenet_v3_small', input_size=(96, 128)).input_shape == (96, 128, 3)
    assert zoo.own_size('inception_v3') == (299, 299)
    # Every builder says what it was trained on.
    assert all(zoo.own_size(name)[0] >= 224 for name in zoo.classifiers())
    assert not set(zoo.classifiers()) & set(zoo.detectors())


def test_a_classifiers_settings_are_part_of_its_fingerprint():
    def fingerprint(**settings):
        return zoo.build('squeezenet1_1', input_size=(64, 64), **settings).fingerprint
    found = [fingerprint(), fingerprint(score_threshold=0.1), fingerprint(max_detections=1),
             fingerprint(seed=1)]
    assert len(set(found)) == len(found)
    assert found[0] == fingerprint() == fingerprint(score_threshold=0.0, max_detections=5)


def test_weights_that_torchvision_trained_on_another_normalisation_fit(tmp_path):
    """Its file of GoogLeNet holds auxiliary heads, and inputs are changed on their way in."""
    model = zoo.module('googlenet', seed=3)
    assert model.aux1 is not None and model.transform_input
    torch.save(model.state_dict(), tmp_path / 'googlenet.pt')
    built = zoo.build('googlenet', str(tmp_path / 'googlenet.pt'), input_size=(64, 64))
    assert built.fingerprint == zoo.build('googlenet', seed=3, input_size=(64, 64)).fingerprint
