import argparse
import hashlib
import importlib.util
import json
from importlib import resources
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from intradp_ros.model import demo, zoo

SCRIPT = Path(__file__).parents[2] / 'bench' / 'train_demo_detector.py'


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location('train_demo_detector', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'SHAPES', ((2, (96, 128)), (1, (128, 96))))
    return module


def options(out: Path) -> argparse.Namespace:
    return argparse.Namespace(out=out, seed=3, steps=6, minutes=1000, rate=2e-3, threads=1,
                              workers=0, every=2, check=1, scenes=2)


def test_an_interrupted_run_ends_where_a_whole_one_does(script, tmp_path, monkeypatch):
    script.train(options(tmp_path / 'whole'))

    calls = []
    original = script.loss

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(script, 'loss', interrupted)
    with pytest.raises(KeyboardInterrupt):
        script.train(options(tmp_path / 'parts'))
    assert [f.name for f in (tmp_path / 'parts').iterdir()] == ['checkpoint.pt']
    # On from step 2, the last checkpoint: four steps, not six.
    calls[:] = [0] * 10
    script.train(options(tmp_path / 'parts'))
    assert len(calls) == 10 + 4

    one, other = (load_file(tmp_path / name / 'demo_detector.safetensors')
                  for name in ('whole', 'parts'))
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)


def test_a_run_leaves_weights_that_load_its_figures_and_its_curve(script, tmp_path):
    script.train(options(tmp_path))
    zoo.build('demo_detector', str(tmp_path / 'demo_detector.safetensors'))
    figures = json.loads((tmp_path / 'run.json').read_text())
    assert (figures['seed'], figures['steps'], figures['scenes']) == (3, 6, 2)
    weights = (tmp_path / 'demo_detector.safetensors').read_bytes()
    assert figures['weights_sha256'] == hashlib.sha256(weights).hexdigest()
    assert 0 <= figures['map_50_95'] <= figures['map_50'] <= 1
    assert (tmp_path / 'curve.png').read_bytes().startswith(b'\x89PNG')


def test_the_packaged_weights_are_those_of_the_figures_that_are_shown():
    figures = json.loads((SCRIPT.parent / 'results' / 'train_demo_detector.json').read_text())
    weights = (resources.files('intradp_ros.model') / demo.WEIGHTS).read_bytes()
    assert hashlib.sha256(weights).hexdigest() == figures['weights_sha256']
    page = (SCRIPT.parents[1] / 'doc' / 'demo_detector.md').read_text()
    row = next(line for line in page.splitlines() if line.startswith(f'| {figures["seed"]} | '))
    shown = [cell.strip() for cell in row.split('|')]
    assert shown[2] == str(figures['steps'])
    assert shown[6:8] == [f'{figures["map_50"]:.4f}', f'{figures["map_50_95"]:.4f}']


def test_the_rate_rises_then_falls_to_a_hundredth(script):
    args = options(Path())
    rates = [script.rate(step / 1000, step, args) for step in range(1001)]
    assert rates[0] < rates[100] < rates[199] and max(rates) <= args.rate
    assert rates[-1] == pytest.approx(args.rate / 100)
    assert all(a >= b for a, b in zip(rates[200:], rates[201:]))


def test_no_two_steps_of_any_seed_share_a_scene(script, monkeypatch):
    drawn = []

    def note(seed, held_out, size):
        drawn.append(seed)
        return original(seed, held_out=held_out, size=size)

    original = script.scene
    monkeypatch.setattr(script, 'scene', note)
    for seed in (0, 1):
        batches = script.Batches(seed, 5)
        for step in range(5):
            batches[step]
    assert len(drawn) == len(set(drawn)) == 2 * (2 + 1 + 2 + 1 + 2)
