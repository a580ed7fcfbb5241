"""What `intradp plan` prints and draws is what the timeline says of the planners' plans."""

import argparse
import dataclasses
import json
import statistics

import cv2
import numpy as np
import pytest

from intradp_ros.cli import plan as command
from intradp_ros.cli.main import main
from intradp_ros.model import zoo
from intradp_ros.planning import gantt, planners, profile_file, sweep
from intradp_ros.planning.bound import Limits
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Setup
from intradp_ros.planning.planners.frontier import TOLERANCE
from intradp_ros.planning.profile import CodecCost, estimated
from intradp_ros.planning.timeline import Task, simulate

KEYS = {'planner', 'latency_ms', 'bound_ms', 'device_ms', 'edge_ms', 'bytes_up', 'bytes_down',
        'energy_j', 'merge', 'tiles', 'decision_us', 'prepare_ms', 'exact', 'way', 'note'}
QUICK = 'local,offload,cic,frontier'


@pytest.fixture(scope='module')
def profile():
    graph = zoo.build('demo_detector', 'random').graph
    return estimated(graph, 4e9, model='demo_detector', before=2e-3, after=1e-3,
                     message_seconds=1e-4,
                     codecs=(CodecCost('uint8', 1.0, 0.0, 0.0),
                             CodecCost('zlib', 0.7, 2e-8, 1e-8)))


@pytest.fixture(scope='module')
def file(profile, tmp_path_factory):
    path = tmp_path_factory.mktemp('profiles') / 'robot.json'
    profile_file.save(profile, path)
    return path


def rows(capsys, *words):
    """Run the command with --json and read what it prints."""
    assert main(['plan', *map(str, words), '--json']) == 0
    return {row['planner']: row for row in json.loads(capsys.readouterr().out)}


def test_json_is_what_the_plans_simulate_to(profile, file, capsys):
    found = rows(capsys, '--profile', file, '--bandwidth', 5, '--rtt', 4)
    assert tuple(sorted(found)) == tuple(sorted(planners.NAMES))
    setup = Setup(profile, profile.scaled(0.1))
    link = Link(5e6, 4e-3, profile.message_seconds)
    bound = Limits(setup).exact(link)
    for name, row in found.items():
        assert set(row) == KEYS
        plan = planners.find(name).plan(setup, link, Objective())
        frame = plan.run(link)
        assert row['latency_ms'] == pytest.approx(1e3 * frame.latency, abs=1e-3)
        assert row['device_ms'] == pytest.approx(1e3 * frame.busy('device'), abs=1e-3)
        assert row['edge_ms'] == pytest.approx(1e3 * frame.busy('edge'), abs=1e-3)
        assert row['bytes_up'] == round(frame.sent('uplink'))
        assert row['energy_j'] == pytest.approx(frame.energy(setup.device.power), abs=1e-4)
        assert (row['merge'], row['tiles'], row['way']) == (plan.merge, plan.tiles, plan.way)
        assert row['bound_ms'] == pytest.approx(1e3 * bound, abs=1e-3)
        assert not row['exact'] or row['latency_ms'] >= row['bound_ms']
        assert row['decision_us'] > 0
    assert list(found) == sorted(found, key=lambda n: found[n]['latency_ms'])
    assert found['cic']['prepare_ms'] > 0 and found['local']['prepare_ms'] is None


def test_the_second_profile_codec_dtype_and_tiles_count(profile, file, tmp_path, capsys):
    fast = tmp_path / 'edge.json'
    profile_file.save(profile.scaled(0.02), fast)
    plain = rows(capsys, '--profile', file, '--bandwidth', 5, '--planner', 'offload,frontier')
    edge = rows(capsys, '--profile', file, '--bandwidth', 5, '--planner', 'offload',
                '--edge-profile', fast)
    assert edge['offload']['edge_ms'] == pytest.approx(plain['offload']['edge_ms'] / 5, rel=1e-3)
    zlib = rows(capsys, '--profile', file, '--bandwidth', 5, '--planner', 'offload',
                '--codec', 'zlib')
    assert zlib['offload']['bytes_up'] == round(0.7 * plain['offload']['bytes_up'])
    assert zlib['offload']['device_ms'] > plain['offload']['device_ms'] + 10
    floats = rows(capsys, '--profile', file, '--bandwidth', 5, '--planner', 'offload',
                  '--input-dtype', 'float32')
    assert floats['offload']['bytes_up'] == 4 * plain['offload']['bytes_up']
    few = rows(capsys, '--profile', file, '--bandwidth', 5, '--planner', 'frontier',
               '--tiles', 4)
    assert few['frontier']['tiles'] <= 4 < plain['frontier']['tiles']


def test_objectives(file, capsys):
    words = '--profile', file, '--bandwidth', 20, '--planner', 'frontier'
    fast = rows(capsys, *words)['frontier']
    frugal = rows(capsys, *words, '--objective', 'energy')['frontier']
    late = rows(capsys, *words, '--objective', 'deadline', '--deadline-ms', 1000)['frontier']
    assert frugal['energy_j'] < fast['energy_j'] and frugal['latency_ms'] > fast['latency_ms']
    assert late['energy_j'] == frugal['energy_j']
    capped = rows(capsys, *words, '--energy-cap', 1.01 * frugal['energy_j'])['frontier']
    # Of plans whose energy is nearly the same, the one that bears a slower link.
    assert frugal['energy_j'] <= (1 + TOLERANCE) * capped['energy_j']
    assert capped['energy_j'] <= 1.01 * frugal['energy_j']


def test_a_limited_halo_is_marked_and_has_a_bound_of_its_own(file, capsys):
    words = '--profile', file, '--bandwidth', 5, '--planner', 'intra_dp'
    exact = rows(capsys, *words)['intra_dp']
    short = rows(capsys, *words, '--halo-px', 0)['intra_dp']
    assert exact['exact'] and not short['exact']
    assert short['bound_ms'] <= exact['bound_ms']
    assert main(['plan', *map(str, words), '--halo-px', '0']) == 0
    assert '* not exact' in capsys.readouterr().out


def test_the_table_is_for_people(file, capsys):
    assert main(['plan', '--profile', str(file), '--bandwidth', '5', '--planner', QUICK]) == 0
    out = capsys.readouterr().out
    assert 'rho' in out and 'bound' in out and 'not exact' not in out
    lines = [line.split() for line in out.splitlines()]
    names = [line[0] for line in lines if line and line[0] in planners.NAMES]
    assert sorted(names) == sorted(QUICK.split(',')) and names[0] == 'frontier'


@pytest.mark.parametrize('words, text', [
    (['--bandwidth', '0'], 'bandwidth'),
    (['--bandwidth', 'nan'], 'bandwidth'),
    (['--bandwidth', '5', '--rtt', '-1'], 'rtt'),
    (['--bandwidth', '5', '--planner', 'magic'], 'magic'),
    (['--bandwidth', '5', '--codec', 'mp3'], 'zlib'),
    (['--bandwidth', '5', '--codec', 'zlib', '--input-dtype', 'float32'], 'float32'),
    (['--bandwidth', '5', '--objective', 'deadline'], 'deadline-ms'),
    (['--bandwidth', '5', '--edge-speedup', '0'], 'speedup'),
    (['--bandwidth', '5', '--tiles', '0'], 'tiles'),
    (['--bandwidth', '5', '--planner', 'local', '--sweep', 'x.png', '--from', '9', '--to', '1'],
     'sweep'),
    (['--bandwidth', '5', '--planner', 'local', '--gantt', 'no/such/folder/x.png'], 'write'),
    (['--bandwidth', '5', '--planner', 'local', '--gantt', 'x.words'], 'x.words'),
    (['--bandwidth', '5', '--profile', 'no_such_file'], 'no_such_file'),
])
def test_bad_options_are_an_error_in_one_line(file, capsys, words, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['plan', '--profile', str(file), *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and text in lines[0] and lines[0].startswith('intradp plan: ')
    assert not list(tmp_path.iterdir())


def test_profiles_of_two_models_are_refused(profile, file, tmp_path, capsys):
    profile_file.save(dataclasses.replace(profile, fingerprint='0' * 16), tmp_path / 'other.json')
    assert main(['plan', '--profile', str(file), '--bandwidth', '5', '--edge-profile',
                 str(tmp_path / 'other.json')]) == 2
    assert 'different models' in capsys.readouterr().err


def colour(name):
    code = gantt.COLOURS[name]
    return [int(code[i:i + 2], 16) for i in (5, 3, 1)]


def columns(picture, name):
    """Columns of pixels in which a colour is, left of a legend or below it."""
    return np.flatnonzero((picture == colour(name)).all(2).any(0))


def test_a_gantt_chart_shows_every_task_in_proportion(tmp_path):
    tasks = [Task('device', 2, label='band 0'), Task('device', 4, label='hedge 1'),
             Task('uplink', size=300, after=(0,), label='raw 3'),
             Task('edge', 1, after=(2,), label='rest')]
    frame = simulate(tasks, [3], Link(100))
    path = tmp_path / 'x.png'
    gantt.draw([gantt.Chart('x', frame, 4.0)], path)
    picture = cv2.imread(str(path))[60:]  # without the legend
    widths = {name: len(columns(picture, name)) for name in ('band', 'hedge', 'raw')}
    second = statistics.median([widths['band'] / 2, widths['hedge'] / 4, widths['raw'] / 3])
    assert widths == {'band': pytest.approx(2 * second, abs=4),
                      'hedge': pytest.approx(4 * second, abs=4),
                      'raw': pytest.approx(3 * second, abs=4)}
    assert abs(columns(picture, 'raw')[0] - columns(picture, 'band')[-1]) <= 4
    # The edge's bar follows the uplink's, one row below it.
    assert columns(picture, 'rest')[0] >= columns(picture, 'raw')[-1]


def test_a_frame_that_never_ends_can_be_drawn(tmp_path):
    frame = simulate([Task('uplink', size=1), Task('edge', 1, after=(0,))], [1],
                     Link(0, steps=((0, 0),)))
    gantt.draw([gantt.Chart('x', frame)], tmp_path / 'x.png')
    assert cv2.imread(str(tmp_path / 'x.png')) is not None


def test_a_sweep_asks_every_planner_at_every_bandwidth(profile, tmp_path):
    setup = Setup(profile, profile.scaled(0.1))
    modules = {name: planners.find(name).plan for name in ('local', 'offload', 'jpeg_offload')}
    over = sweep.bandwidths(1e5, 1e7, 5)
    assert over == pytest.approx((1e5, 10 ** 5.5, 1e6, 10 ** 6.5, 1e7))
    limits = Limits(setup)
    result = sweep.sweep(setup, modules, over, Link(1), Objective(), limits.exact)
    for name, latencies in result.latencies.items():
        assert latencies == [modules[name](setup, Link(b), Objective()).run(Link(b)).latency
                             for b in over]
    assert result.bound == [limits.exact(Link(b)) for b in over]
    assert result.inexact == {'jpeg_offload'}
    assert result.equal == pytest.approx(640 * 480 * 3 / profile.total)
    sweep.draw(result, 'x', tmp_path / 'x.png')
    picture = cv2.imread(str(tmp_path / 'x.png'))
    for code, _ in sweep.STYLES[:3]:
        bgr = [int(code[i:i + 2], 16) for i in (5, 3, 1)]
        assert (picture == bgr).all(2).any()


def test_the_command_draws(file, tmp_path, capsys):
    assert main(['plan', '--profile', str(file), '--bandwidth', '5', '--planner', 'local,cic',
                 '--gantt', str(tmp_path / 'g.png'), '--sweep', str(tmp_path / 's.png')]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {'g.png', 's.png'}


def test_decisions_are_timed_without_their_preparation(profile):
    calls = []

    class Module:
        @staticmethod
        def plan(setup, link, objective):
            return planners.find('local').plan(setup, link, objective)

        @staticmethod
        def prepare(setup, link):
            calls.append((setup, link))
            return argparse.Namespace(decide=lambda objective: calls.append(objective))

    setup, link = Setup(profile, profile), Link(1e6)
    row = command.judge(Module, setup, link, Objective(), lambda link, exact: 1.0)
    assert calls[0] == (setup, link) and calls[1:] == [Objective()] * (len(calls) - 1)
    assert len(calls) > 2 and row.decision > 0 and row.preparation is not None
