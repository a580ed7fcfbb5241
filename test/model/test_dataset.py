import json

import cv2
import numpy as np
import pytest

from intradp_ros.errors import ImageError, ParameterError
from intradp_ros.model import dataset
from intradp_ros.scenes.objects import CLASSES
from intradp_ros.scenes.scene import scene

LABELS = ('__background__', 'person', 'traffic light', 'ball')


@pytest.fixture
def folder(tmp_path):
    """Two images in COCO's format, with categories of which the model knows two."""
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'images').mkdir()
    for i in range(2):
        image = np.full((20, 30, 3), 0, np.uint8)
        image[..., 2] = 200
        cv2.imwrite(str(tmp_path / 'images' / f'{i}.png'), image)
    rows = [(1, 7, [1, 2, 10, 12], 0), (1, 9, [0, 0, 5, 5], 0), (2, 8, [3, 3, 4, 6], 1)]
    content = {'images': [{'id': 1, 'file_name': '0.png'}, {'id': 2, 'file_name': '1.png'}],
               'categories': [{'id': 7, 'name': 'person'}, {'id': 8, 'name': 'traffic_light'},
                              {'id': 9, 'name': 'giraffe'}],
               'annotations': [{'id': i, 'image_id': image, 'category_id': category, 'bbox': box,
                                'iscrowd': crowd}
                               for i, (image, category, box, crowd) in enumerate(rows)]}
    (tmp_path / 'annotations' / 'instances_val.json').write_text(json.dumps(content))
    return tmp_path


def test_coco_boxes_become_corners_and_names_the_models_numbers(folder):
    samples = dataset.coco(folder, LABELS)
    assert len(samples) == 2
    assert samples[0].truth.boxes.tolist() == [[1, 2, 11, 14]]
    assert samples[0].truth.labels.tolist() == [1]
    assert samples[1].truth.labels.tolist() == [2]
    assert samples[1].truth.ignored.tolist() == [True]
    assert samples[0].image[0, 0].tolist() == [200, 0, 0]
    assert len(dataset.coco(folder, LABELS, count=1)) == 1


def test_what_is_wrong_with_a_folder_is_said(folder, tmp_path_factory):
    with pytest.raises(ParameterError, match='no COCO annotations'):
        dataset.coco(tmp_path_factory.mktemp('empty'), LABELS)
    with pytest.raises(ParameterError, match='knows none of the classes'):
        dataset.coco(folder, ('cat', 'dog'))
    (folder / 'images' / '1.png').write_bytes(b'no image')
    with pytest.raises(ImageError, match='1.png'):
        dataset.coco(folder, LABELS)[1]
    (folder / 'images' / '1.png').unlink()
    with pytest.raises(ParameterError, match='1 of the 2 images'):
        dataset.coco(folder, LABELS)
    for text in ('{', '[]', '{"images": []}'):
        (folder / 'annotations' / 'instances_val.json').write_text(text)
        with pytest.raises(ParameterError, match='COCO'):
            dataset.coco(folder, LABELS)


def test_scenes_in_the_numbers_of_a_model_with_other_classes():
    samples = dataset.scenes(3, LABELS, (96, 128), first=4)
    for i in range(3):
        shown = scene(4 + i, size=(96, 128))
        names = [CLASSES[label].replace('_', ' ') for label in shown.labels]
        kept = [name for name in names if name in LABELS]
        assert [LABELS[label] for label in samples[i].truth.labels] == kept
        np.testing.assert_array_equal(samples[i].image, shown.image)
    with pytest.raises(ParameterError, match='knows none'):
        dataset.scenes(3, ('giraffe',), (96, 128))
    assert [sample.name for sample in samples] == ['scene 4', 'scene 5', 'scene 6']
