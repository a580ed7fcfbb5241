"""`intradp profile`: files that planners can read, summaries that programs can."""

import json

import cv2
import pytest

from intradp_ros.cli.main import main
from intradp_ros.model import zoo
from intradp_ros.planning.profile import Power
from intradp_ros.planning.profile_file import load

TABLE = """op,kind,inputs,outputs,output_shapes,split_dim,device_ms,server_ms
0,_start,,1,1x3x32x32,2,0,0
1,conv2d,0,2,1x8x16x16,2,4,1
2,relu,1,3,1x8x16x16,2,2,1
3,linear,2,,1x10,None,1,0.5
"""


def test_measure_a_detector(tmp_path, capsys, monkeypatch, domain):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    file, picture = tmp_path / 'p.json', tmp_path / 'p.png'
    words = ['profile', 'demo_detector', '--size', '128x96', '--threads', '1', '--budget', '0.1']
    assert main([*words, '-o', str(file), '--plot', str(picture), '--json',
                 '--power', 'idle=2,compute=9.5']) == 0
    found = json.loads(capsys.readouterr().out)
    graph = zoo.build('demo_detector', 'DEFAULT', input_size=(96, 128)).graph
    profile = load(file, graph)
    assert profile.power == Power(2, 9.5)
    assert found['fingerprint'] == graph.fingerprint and found['threads'] == 1
    assert found['whole_ms'] == pytest.approx(1e3 * profile.measured.whole, rel=5e-3)
    shares = [o['share'] for o in found['operators']]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1
    assert [b['name'] for b in found['bottlenecks']] == ['narrow.3.conv.3']
    assert found['bottlenecks'][0]['bytes_of_input'] == pytest.approx(1 / 3, rel=0.01)
    assert cv2.imread(str(picture)).std() > 0
    assert profile.message_seconds > 0 or 'no rclpy' in profile.note

    assert main(words) == 0
    assert 'narrow.3.conv.3' in capsys.readouterr().out
    (kept,) = (tmp_path / 'cache' / 'intradp_ros' / 'profiles').iterdir()
    assert load(kept, graph).threads == 1


def test_measure_a_classifier(tmp_path, capsys, domain):
    file = tmp_path / 'p.json'
    assert main(['profile', 'squeezenet1_1', '--size', '64x64', '--budget', '0.1', '-o',
                 str(file)]) == 0
    profile = load(file)
    assert profile.model == 'squeezenet1_1' and profile.before > 0 < profile.after
    # The nodes are given one of their own model only.
    assert profile.fingerprint == zoo.build('squeezenet1_1', input_size=(64, 64)).graph.fingerprint
    assert profile.graph.tensors[profile.graph.input].shape == (1, 3, 64, 64)
    assert 'squeezenet1_1 on ' in capsys.readouterr().out


@pytest.mark.parametrize('side, total', [('device', 7e-3), ('edge', 2.5e-3)])
def test_import(tmp_path, capsys, monkeypatch, side, total):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'net.csv').write_text(TABLE)
    assert main(['profile', '--import', 'net.csv', '--side', side, '--input-dtype', 'uint8']) == 0
    assert 'halo taken as 0' in capsys.readouterr().out
    profile = load(tmp_path / 'net.json')
    assert profile.total == pytest.approx(total) and not profile.has_geometry
    assert profile.graph.tensors[0].bytes == 3 * 32 * 32


@pytest.mark.parametrize('words, fault', [
    ([], 'give a MODEL'), (['demo_detector', '--import', 'net.csv'], 'give a MODEL'),
    (['--import', 'absent.csv'], 'absent.csv'), (['no_model'], 'unknown model'),
    (['fcn_resnet50', '--weights', 'w.pt'], 'for detectors'),
    (['demo_detector', '--size', 'large'], 'like 640x480'),
    (['demo_detector', '--threads', '-1'], '--threads'),
    (['demo_detector', '--power', 'idle'], 'STATE=WATTS'),
    (['demo_detector', '--power', 'asleep=1'], 'states are idle'),
    (['demo_detector', '--power', 'idle=-1'], 'states are idle'),
])
def test_bad_words_are_answered_in_a_line(capsys, words, fault):
    assert main(['profile', *words]) == 2
    said = capsys.readouterr()
    assert fault in said.err and len(said.err.splitlines()) == 1 and not said.out
