import argparse
import json

import cv2
import numpy as np
import pytest

from intradp_ros.cli import eval as command
from intradp_ros.cli.main import main
from intradp_ros.errors import ParameterError
from intradp_ros.model import dataset, zoo
from intradp_ros.model.accuracy import Truth, measure
from intradp_ros.model.detector import Detections
from intradp_ros.scenes.objects import CLASSES
from intradp_ros.scenes.scene import scene
from intradp_ros.tiling.modes import Cut

KEYS = {'model', 'mode', 'codec', 'map_50', 'map_50_95', 'map_drop', 'bytes_per_frame'}


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_json_says_what_every_mode_and_codec_does(capsys):
    assert command.run(arguments('--images', '6', '--seed', '40', '--json')) == 0
    results = json.loads(capsys.readouterr().out)
    assert all(set(r) == KEYS and r['model'] == 'demo_detector' for r in results)
    by_way = {(r['mode'], r['codec']): r for r in results}
    assert list(by_way)[0] == ('local', None)
    assert {('offload', 'uint8'), ('offload', 'zlib'), ('offload', 'jpeg')} <= set(by_way)

    whole = by_way['local', None]
    detector = zoo.build('demo_detector', 'DEFAULT', score_threshold=command.LEAST_SCORE)
    samples = dataset.scenes(6, detector.labels, (480, 640), first=40)
    reached = measure([s.truth for s in samples], [detector.detect(s.image) for s in samples])
    assert [whole['map_50'], whole['map_50_95']] == pytest.approx([reached.map_50,
                                                                   reached.map_50_95])
    assert whole['bytes_per_frame'] == 0
    assert by_way['offload', 'uint8']['bytes_per_frame'] == 480 * 640 * 3
    assert by_way['offload', 'jpeg']['bytes_per_frame'] < 480 * 640
    for result in results:
        assert result['map_drop'] == pytest.approx(whole['map_50_95'] - result['map_50_95'])
    assert by_way['offload', 'zlib']['map_drop'] == by_way['offload', 'uint8']['map_drop'] == 0
    # Half of the narrow tensor in float32, and the raw rows of the other half.
    assert by_way['split', 'uint8']['map_drop'] == pytest.approx(0, abs=1e-3)
    assert by_way['split', 'uint8']['bytes_per_frame'] == 307200 / 2 + (240 + 11) * 640 * 3


def test_the_table_names_data_and_ways(capsys):
    command.run(arguments('--images', '1', '--mode', 'offload', '--codec', 'jpeg'))
    lines = capsys.readouterr().out.splitlines()
    assert '1 images of scenes' in lines[0]
    assert [line.split()[:2] for line in lines[2:]] == [['local', '-'], ['offload', 'jpeg']]


def test_the_picture_shows_worst_cases(tmp_path, capsys):
    path = tmp_path / 'worst.png'
    command.run(arguments('--images', '4', '--mode', 'local', '--picture', str(path), '--json'))
    json.loads(capsys.readouterr().out)
    assert cv2.imread(str(path)).shape == (960, 1920, 3)
    assert [p.name for p in tmp_path.iterdir()] == ['worst.png']


def test_faults_are_what_was_missed_and_what_is_not_there():
    truth = Truth(np.array([[0, 0, 20, 20], [50, 50, 80, 80], [0, 60, 20, 90]], np.float32),
                  np.array([1, 2, 1]), np.array([False, False, True]))
    found = Detections(np.array([[1, 0, 20, 20], [50, 50, 80, 80]], np.float32),
                       np.array([0.9, 0.8], np.float32), np.array([1, 1]))
    assert command.faults(truth, found) == 2
    assert command.faults(truth, command.above(found, 0.85)) == 1


@pytest.mark.parametrize('words,message', [
    (['--images', '0'], '--images'),
    (['--tiles', '0'], '--tiles'),
    (['--data', 'no/such/folder'], 'no/such/folder'),
    (['--mode', 'local', '--codec', 'jpeg'], None),
    (['--mode', 'offload', '--codec', 'float32'], 'float32'),
    (['--picture', 'worst.txt'], 'worst.txt'),
    (['--size', '640'], '640'),
    (['--model', 'mobilenet_v2'], 'mobilenet_v2 is a classifier'),
    (['--share', '1.5'], '--share'),
    (['--mode', 'split', '--merge', 'no.such.tensor', '--images', '1'], 'no.such.tensor'),
])
def test_options_that_cannot_work_are_refused(words, message):
    if message is None:
        assert command.ways(['local'], ['jpeg']) == [('local', None)]
        return
    with pytest.raises(ParameterError, match=message):
        command.run(arguments(*words))


def test_the_command_line_says_what_is_wrong_in_one_line(capsys):
    assert main(['eval', '--data', 'no/such/folder']) == 2
    output = capsys.readouterr()
    assert output.out == ''
    assert output.err.strip().splitlines() == [
        'intradp eval: --data no/such/folder is no folder (nor "scenes")']


def test_a_model_that_cannot_be_split_so_is_still_measured(capsys):
    detector = zoo.build('demo_detector', 'random', input_size=(96, 128))
    everything = command.ways(None, None)
    cut = Cut(merge='no.such.tensor')
    runs = command.prepare(detector, everything, cut, ())
    assert {mode for mode, _ in runs} == {'local', 'offload'}
    assert 'mode split with codec uint8 is left out' in capsys.readouterr().err


def test_a_folder_in_cocos_format_gives_what_the_same_scenes_give(tmp_path, capsys):
    shown = [scene(seed) for seed in range(40, 43)]
    annotations = []
    for i, s in enumerate(shown):
        cv2.imwrite(str(tmp_path / f'{i}.png'), s.image[..., ::-1])
        for (left, top, right, bottom), label in zip(s.boxes.tolist(), s.labels.tolist()):
            annotations.append({'id': len(annotations), 'image_id': i, 'category_id': label,
                                'bbox': [left, top, right - left, bottom - top]})
    (tmp_path / 'scenes.json').write_text(json.dumps({
        'images': [{'id': i, 'file_name': f'{i}.png'} for i in range(3)],
        'categories': [{'id': i, 'name': name.replace('_', ' ')}
                       for i, name in enumerate(CLASSES)],
        'annotations': annotations}))
    common = ['--mode', 'local', '--images', '3', '--json']
    command.run(arguments('--data', str(tmp_path), *common))
    folder = json.loads(capsys.readouterr().out)
    command.run(arguments('--seed', '40', *common))
    drawn = json.loads(capsys.readouterr().out)
    assert folder == [pytest.approx(result) for result in drawn]
    assert drawn[0]['map_50'] > 0.5
