import math

import pytest
from pytest import approx
from test_summary import BEGIN, run

import grid
import plots
import replay
import report
import tables
import verdicts
from intradp_ros.errors import ParameterError
from intradp_ros.planning.profile import Power
from methods import METHODS
from testbed import summary


def cell(method, rho, latency):
    """A result as scripts/bench leaves it, with ten frames around a latency."""
    events = [BEGIN, *run(*range(10))]
    for event in events:
        if event['event'] == 'report':
            event['latency_ms'] = latency + event['frame'] - 4.5
    frames = summary.frames(events)
    for frame in frames:
        frame.heard = [frame.begin + (frame.latency + 5) / 1e3]
    return grid.result_of(
        grid.Cell('demo_detector', rho, method), rate=1e6, differing=0, expected=None,
        exact_bound_ms=50.0, parallel_ms=60.0, example=frames[5].report,
        figures=summary.summarize(events, {}, (0, 0)) | {
            'round_trip_ms': summary.percentiles([f.round_trip for f in frames])},
        frames=[[f.image, f.latency, f.round_trip] for f in frames])


def test_verdicts_say_wins_and_losses():
    cells = [cell('local', 1.0, 100), cell('offload', 1.0, 120), cell('coacto', 1.0, 80),
             cell('frontier', 1.0, 60), cell('auto', 1.0, 50), cell('jpeg_offload', 1.0, 52),
             cell('compressed_topic', 1.0, 60)]
    lines = {line.split(' | ')[1]: line for line in verdicts.table(cells).splitlines()[2:]}
    assert '| 0.75 | 0.7' in lines['frontier / best other exact method (coacto)']
    assert lines['frontier / best other exact method (coacto)'].endswith('| 1.03 | yes |')
    assert lines['frontier / best of local, offload, sequential cuts'].endswith('| 0.65 | yes |')
    assert lines['frontier against the exact bound'].endswith('| 67.50 ms | yes |')
    assert '| 0.96 | ' in lines['auto / jpeg_offload']
    assert '| 0.90 | **no**' in lines['auto / jpeg_offload']
    # What the robot hears counts there of both, 5 ms later here.
    against = lines['auto / compressed_topic, camera to listener']
    assert '| 0.85 | ' in against and against.endswith('| 0.90 | yes, within the noise |')
    slower = [cell('local', 2.0, 100), cell('frontier', 2.0, 110)]
    assert '| 2 | frontier / best other exact method (local) | 1.10 | ' in verdicts.table(slower)
    assert '| 1.03 | **no** |' in verdicts.table(slower)
    near = [cell('local', 2.0, 100), cell('frontier', 2.0, 104)]
    assert '| 1.03 | **no**, within the noise |' in verdicts.table(near)
    assert verdicts.table([cell('local', 1.0, 100)]) == ''


def test_methods_of_which_nothing_was_heard_are_not_compared():
    def silent(method, listener_only=False):
        lost = cell(method, 1.0, 100)
        lost['frames'] = [[image, latency, float('nan')] for image, latency, _ in lost['frames']
                          if listener_only]
        return lost
    cells = [cell('local', 1.0, 100), cell('auto', 1.0, 90), cell('frontier', 1.0, 120)]
    lost = verdicts.table([*cells, silent('offload'), silent('jpeg_offload'),
                           silent('compressed_topic', True)])
    assert lost == verdicts.table(cells) and 'other exact method (local)' in lost


def test_a_lucky_rival_is_shown_as_such():
    cells = [cell('local', 2.0, 100), cell('cic', 2.0, 102), cell('frontier', 2.0, 100)]
    cells[1]['frames'] = [[k, 10.0 if k < 5 else 110.0, 0.0] for k in range(10)]
    cells[1]['figures']['latency_ms'] = summary.percentiles([10.0] * 5 + [110.0] * 5)
    for each in cells:
        each['turns'] = 2
    lines = verdicts.table(cells).splitlines()
    assert lines[2].startswith('| 2 | frontier / best other exact method (cic) | 1.67 | ')
    # The median of five frames of local inference and five of cic's slow ones.
    assert lines[3].startswith('| 2 | the same, each turn against the rival that is best in the '
                               'other turns | 0.95 | ')


def test_a_limited_halo_is_shown_with_what_it_loses():
    cells = [cell('local', 1.0, 100), cell('offload', 1.0, 120),
             cell('halo_16', 1.0, 60) | {'agreement': 0.4321}]
    assert ('| 1 | halo_16 / better of local and offload (local), where mAP against the whole '
            'model is 0.432 | 0.60 | ') in verdicts.table(cells)
    assert '| 0 (0.432) |' in report.costs(cells)


def test_methods_that_all_did_the_same_show_the_noise():
    cells = [cell('local', 1.0, 100), cell('cic', 1.0, 120), cell('offload', 1.0, 90)]
    for number, modes in enumerate(({'local/device': 10},
                                    {'cic (local)/device': 8, 'cic (offload)/edge': 2},
                                    {'offload/edge': 3, 'offload/device': 7})):
        cells[number]['figures']['modes'] = modes
    assert '| *local inference, whoever chose it* | 100-120 |' in report.section('x', cells, None)
    assert 'whoever chose it' not in report.section('x', cells[1:], None)


def test_the_table_marks_the_best_lossless_method_and_what_was_not_run():
    cells = [cell('local', 0.5, 100), cell('offload', 0.5, 40), cell('jpeg_offload', 0.5, 20),
             cell('compressed_topic', 0.5, 30),
             grid.result_of(grid.Cell('demo_detector', 0.5, 'frontier'), refused='no such mode')]
    calibration = {'device_ms': 80.0, 'edge_ms': 20.0, 'input_bytes': 9e5, 'start_s': {},
                   'discovery_s': 0.0}
    text = report.section('demo_detector', cells, calibration)
    assert '| offload | **40 (' in text and '| local | 100 (' in text
    assert '| jpeg_offload * | 20 (' in text
    # The remote method is judged by what the robot hears, 5 ms later here.
    assert '| compressed_topic * | 35 (' in text
    assert '| frontier | not run |' in text and '- not run: frontier: no such mode' in text
    assert '| *bound of any exact schedule* | 50 |' in text
    assert f'| *rho with the D of these frames* | {9e5 / cells[0]["rate"] / 0.1:.2f} |' in text


def test_a_report_with_plots_is_written_from_a_folder(tmp_path):
    for method in ('local', 'offload', 'frontier'):
        for rho in (0.5, 1.0):
            found = cell(method, rho, 90)
            grid.save(tmp_path / 'cells', f'{method}{rho}', found)
    grid.save(tmp_path, 'host', {'cpu': 'a processor', 'commits': ['abc', 'def']})
    grid.save(tmp_path, 'scale-robots', {
        'name': 'scale-robots', 'title': 'Robots', 'variable': 'robots', 'text': '', 'points': [
            {'value': 1, 'x': 1, 'p50': 1.0, 'p95': 2.0, 'throughput': 9.0, 'bytes': 1e6}]})
    grid.save(tmp_path, 'replay-demo_detector-wifi', {
        'model': 'demo_detector', 'trace': 'wifi', 'seconds': 2.0, 'mean_rate': 1e6,
        'deadline_ms': 200.0, 'steps': [[0.0, 1e6], [1.0, 2e6]], 'methods': {
            'local': {'figures': cell('local', 1, 90)['figures'], 'points': [[0.0, 90], [1.0, 95]],
                      'weighted_ms': {'mean': 92, 'p50': 90, 'p95': 95, 'p99': 95},
                      'regret_ms': 0.0}, 'auto': {'refused': 'no'}}})
    (tmp_path / 'notes.md').write_text('## Why\nBecause.\n')
    path = report.write(tmp_path, tmp_path / 'REPORT.md')
    text = path.read_text()
    assert text.endswith('## Why\nBecause.\n')
    assert '| commits | abc, def |' in text and '## Robots' in text and 'Replay: wifi' in text
    pictures = [part.split(')')[0] for part in text.split('](')[1:]]
    assert len(pictures) == 4
    for picture in pictures:
        assert (tmp_path / picture).stat().st_size > 5000


def test_a_chart_of_profiles_that_are_gone_stays(tmp_path):
    found = cell('frontier', 1.0, 90) | {'expected': {'latency_ms': 80.0}}
    chart = tmp_path / 'demo_detector-frontier-gantt.png'
    assert chart not in [p for _, p in plots.of_model(
        'demo_detector', [found], {'profiles': ['gone.json']}, tmp_path, tmp_path)]
    chart.write_bytes(b'drawn before')
    title, path = plots.of_model('demo_detector', [found], {'profiles': ['gone.json']}, tmp_path,
                                 tmp_path)[-1]
    assert path == chart and 'rho 1: a frame of frontier' in title
    assert chart.read_bytes() == b'drawn before'
    assert not (tmp_path / 'demo_detector-rho.png').exists()  # one point is no line


@pytest.mark.parametrize('p95, verdict', [
    (75, '0.75; asked: at most 0.80, holds'),
    (85, '0.85; asked: at most 0.80, **does not hold**')])
def test_a_replay_holds_auto_against_the_best_single_method(p95, verdict):
    def replayed(p95, begun):
        return {'figures': cell('local', 1, 90)['figures'], 'begun': begun, 'regret_ms': 0.0,
                'weighted_ms': {'mean': 50, 'p50': 50, 'p95': p95, 'p99': 200}}
    text = report.replay({'model': 'demo_detector', 'trace': 'wifi', 'seconds': 2.0,
                          'mean_rate': 1e6, 'deadline_ms': 200.0, 'methods': {
                              'local': replayed(130, 0), 'offload': replayed(100, 60),
                              'frontier': replayed(50, 120), 'auto': replayed(p95, 660)}})
    assert f'best single method (offload): {verdict}.' in text
    assert 'lay 11 minutes.' in text


def test_regret_is_against_the_best_fixed_method_of_each_second():
    points = {'local': [(0.0, 100.0)], 'offload': [(0.0, 50.0), (2.0, 300.0)],
              'frontier': [(0.0, 45.0), (2.2, 110.0)]}
    found = replay.regret(points, 4.0, ['local', 'offload'])
    # Best fixed: 50, 50, 100, 100.
    assert found == {'local': 25.0, 'offload': 100.0, 'frontier': approx(2.5)}
    assert replay.regret({'frontier': points['frontier']}, 4.0, ['local']) == {}


def test_energy_is_idle_time_and_what_each_activity_adds():
    found = cell('offload', 1.0, 100)
    found['figures']['stages_ms']['device_ms'] = 20.0
    found['figures']['link_bytes_per_frame']['up'] = 50_000.0
    # 100 ms idle at 1 W, 20 ms at 10 W more, 50 ms (50 kB at 1 MB/s) at 2 W more.
    assert report.joules(found, Power(1.0, 11.0, 3.0, 1.0)) == approx(0.1 + 0.2 + 0.1)


def test_every_method_can_be_told_from_the_others():
    assert len({(str(m.parameters), m.topology) for m in METHODS.values()}) == len(METHODS)
    assert not any(math.isnan(tables.latency(cell(name, 1.0, 9))['p50']) for name in METHODS)


def test_replays_are_of_the_traces_that_are_asked_for():
    assert list(replay.choose(30.0, 0, ['lte', 'wifi'])) == ['wifi', 'lte']
    assert {'wifi', 'lte', 'bursts', 'roaming'} <= replay.choose(30.0, 0).keys()
    with pytest.raises(ParameterError, match='unknown traces dsl; there are: wifi, lte'):
        replay.choose(30.0, 0, ['lte', 'dsl'])
