"""What is measured once for all cells of a model, and what is measured again where it is gone."""

import argparse

import pytest

import compare
import conditions
import grid
import runtime


def test_profiles_that_are_gone_are_measured_again_and_d_stays(tmp_path, monkeypatch):
    """As in a new clone: results are part of it, profiles are not."""
    made = []

    def profile(args, model):  # takes minutes in a test bed
        made.append(model['model'])
        files = args.out / 'cache' / 'robot.json', args.out / 'cache' / 'edge.json'
        files[0].parent.mkdir(exist_ok=True)
        for file in files:
            file.write_text('{}')
        return files
    monkeypatch.setattr(conditions, 'profile', profile)
    args = argparse.Namespace(out=tmp_path, quick=True)
    before = {'model': 'vgg19', 'device_ms': 1967.5, 'edge_ms': 441.6, 'input_bytes': 150528.0,
              'profiles': ['cache/of/another/machine.json', 'cache/edge.json']}
    grid.save(tmp_path, 'calibration-vgg19', before)
    now = before | {'profiles': ['cache/robot.json', 'cache/edge.json']}
    for _ in range(2):
        assert conditions.calibrate(args, 'vgg19') == now
    assert made == ['vgg19'] and grid.load(tmp_path, 'calibration-vgg19') == now


def test_d_is_measured_for_a_minute_where_frames_take_seconds():
    assert conditions.local_frames(0.2) == (40, 20)
    frames, warmup = conditions.local_frames(3.7)
    assert frames * 3.7 < 66 and warmup * 3.7 < 15 and frames > 10
    assert conditions.local_frames(60.0) == (grid.LEAST_FRAMES, 3)


@pytest.mark.parametrize('parse, before', [(compare.parse, []), (runtime.parse, ['all'])])
def test_a_robot_has_a_part_of_a_core(parse, before, capsys):
    assert parse([*before, '--share', '1']).share == 1.0
    for wrong in ('0', '1.5', '-1', 'half', 'nan'):
        with pytest.raises(SystemExit):
            parse([*before, '--share=' + wrong])
        assert f'--share: above 0 and at most 1 (a whole core), got {wrong}' in \
            capsys.readouterr().err
