"""What was measured once is found again, and not taken for another machine's or model's."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from intradp_ros.errors import ParameterError
from intradp_ros.model.capture import capture
from intradp_ros.planning import profile_cache
from intradp_ros.planning.measure import processor
from intradp_ros.planning.profile import estimated


@pytest.fixture
def graph(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return capture(torch.nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 16, 16))


def profile_of(graph, **changes):
    fields = {'model': 'a/model', 'processor': processor(), 'torch': torch.__version__,
              'threads': 3}
    return estimated(graph, 1e9, **{**fields, **changes})


def test_measured_once(graph, tmp_path):
    profile, calls = profile_of(graph), []

    def measure():
        calls.append(1)
        return profile

    found = [profile_cache.cached(graph, 'a/model', measure, threads=3) for _ in range(3)]
    assert found == [profile] * 3 and len(calls) == 1
    (file,) = (tmp_path / 'intradp_ros' / 'profiles').iterdir()
    assert file.name.startswith(f'a_model-{graph.fingerprint}-') and file.name.endswith('-3.json')
    for other in ({'threads': 2}, {'device': 'cuda'}):
        assert profile_cache.find(graph, 'a/model', **{'threads': 3, **other}) is None


@pytest.mark.parametrize('changes', [{'processor': 'abacus'}, {'torch': '0.1'}])
def test_another_machine_is_measured_again(graph, changes, caplog):
    profile_cache.keep(profile_of(graph, **changes))
    assert profile_cache.find(graph, 'a/model', threads=3) is None
    assert 'measuring again' in caplog.text


def test_broken_files_are_measured_again(graph, caplog):
    file = profile_cache.keep(profile_of(graph))
    file.write_text(file.read_text()[:100])
    assert profile_cache.find(graph, 'a/model', threads=3) is None
    assert 'only a part' in caplog.text
    file.write_text('{}')
    assert profile_cache.cached(graph, 'a/model', lambda: profile_of(graph),
                                threads=3) == profile_of(graph)
    assert profile_cache.find(graph, 'a/model', threads=3) == profile_of(graph)


def test_a_folder_that_cannot_be_made(graph, tmp_path, monkeypatch, caplog):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    with pytest.raises(ParameterError, match='cannot make'):
        profile_cache.keep(profile_of(graph))
    profile = replace(profile_of(graph), threads=1)
    assert profile_cache.cached(graph, 'a/model', lambda: profile) is profile


def test_the_folder_is_the_users(monkeypatch):
    for value in ('', 'relative'):
        monkeypatch.setenv('XDG_CACHE_HOME', value)
        assert profile_cache.folder() == Path.home() / '.cache' / 'intradp_ros' / 'profiles'
