"""Profiles imported from tables of operators, the published ones and broken ones."""

from pathlib import Path

import pytest

from intradp_ros.errors import ModelError, ParameterError
from intradp_ros.planning import ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Setup
from intradp_ros.planning.table import COLUMNS, read_table

DATA = Path(__file__).resolve().parents[2].parent / 'shared' / 'data' / 'jetson_nx'
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f'no published tables in {DATA}')
HEADER = ','.join(COLUMNS)
START = '0,_start,,1,1x3x8x8,2,0,0'


def write(path, *lines):
    file = path / 'net.csv'
    file.write_text('\n'.join((HEADER, *lines)) + '\n')
    return file


@needs_data
@pytest.mark.parametrize('name, operators, joins, whole, device_ms', [
    ('vgg19_bn', 62, set(), 9, 95.7),
    ('densenet121', 431, {'cat'}, 3, 62.7),
    ('resnet152', 515, {'add_'}, 3, 79.8),
    ('agrnav', 66, {'add', 'add_', 'cat'}, 0, 852.3),
])
def test_published_tables(name, operators, joins, whole, device_ms):
    device, edge = read_table(DATA / f'{name}.csv')
    graph = device.graph
    assert len(graph.operators) == operators
    # What is recorded as several inputs because of work in place is one.
    assert {o.kind for o in graph.operators if len(o.inputs) > 1} == joins
    assert sum(not o.is_local for o in graph.operators) == whole
    assert graph.outputs == (graph.operators[-1].output,)
    assert device.total * 1e3 == pytest.approx(device_ms, abs=0.05)
    assert edge.total < device.total / 4
    assert not device.has_geometry and 'halo taken as 0' in device.note
    setup, link = Setup(device, edge), Link(1e6)
    alone = ways.local(setup).run(link).latency
    assert alone == pytest.approx(device.total)
    assert ways.sequential(setup, [], 'offload').run(link).latency == pytest.approx(
        edge.total + (setup.input_bytes + device.result_bytes) / 1e6)


@needs_data
def test_residual_blocks_are_closed():
    graph = read_table(DATA / 'resnet152.csv')[0].graph
    blocks = [o for o in graph.operators if o.kind == 'add_']
    assert len(blocks) == 50
    # The relu after each sum is all that what follows reads.
    candidates = {t.id for t in graph.merge_candidates()}
    assert all(o.output in candidates for o in blocks)


def test_work_in_place_is_one_tensor(tmp_path):
    device, _ = read_table(write(
        tmp_path, START, '1,conv2d,0,2 3 4,1x4x8x8,2,2,1', '2,relu,1,3 4,1x4x8x8,2,1,1',
        '3,conv2d,1 2,4,1x4x8x8,2,1,1', '4,add_,1 2 3,5 6,1x4x8x8,2,1,1',
        '5,max_pool2d,4,6,1x4x4x4,2,1,1', '6,_end,5,,1x4x4x4,None,0,0'))
    graph = device.graph
    # Tensors 0 to 5; the sum reads the rectified map and its convolution.
    assert [o.inputs for o in graph.operators] == [(0,), (1,), (2,), (2, 3), (4,)]
    assert graph.operators[4].needs[0].of(1, 3) == (2, 6)
    assert graph.outputs == (5,)


def test_skip_around_a_relu_stays(tmp_path):
    device, _ = read_table(write(
        tmp_path, START, '1,conv2d,0,2 3 4,1x4x8x8,2,2,1', '2,relu,1,3,1x4x8x8,2,1,1',
        '3,conv2d,2,4,1x4x8x8,2,1,1', '4,add,1 3,,1x4x8x8,2,1,1'))
    assert device.graph.operators[3].inputs == (1, 3)


def test_several_outputs(tmp_path):
    device, edge = read_table(write(
        tmp_path, START, '1,chunk,0,2,1x2x8x8;1x1x8x8,2,2,1', '2,topk,1,,1x5;1x7,None,4,1'),
        input_dtype='uint8')
    first, second = device.graph.tensors[1:]
    assert (first.rows, first.bytes) == (8, 3 * 64 * 4)
    assert (second.rows, second.bytes) == (1, 12 * 4)
    assert device.graph.tensors[0].bytes == 3 * 64
    assert device.graph.operators[1].needs[0].of(0, 1) == (0, 8)
    assert device.seconds[0](4) == pytest.approx(1e-3)
    assert edge.fingerprint == device.fingerprint
    with pytest.raises(ModelError, match='no weights'):
        device.graph.operators[0].kernel(None)


@pytest.mark.parametrize('line, fault', [
    ('1,relu,0,,1x3x8,2', 'columns'),
    ('1,relu,0,,1x3x8x8,2,fast,0', 'fast'),
    ('1,relu,0,,1x3x8x8,2,-1,0', '0 ms or more'),
    ('1,relu,0,,1x3x8x8,2,nan,0', '0 ms or more'),
    ('1,relu,7,,1x3x8x8,2,1,0', 'no row above'),
    ('1,relu,,,1x3x8x8,2,1,0', 'no inputs'),
    ('0,relu,0,,1x3x8x8,2,1,0', 'twice'),
    ('1,relu,0,,1x3xhighx8,2,1,0', 'high'),
    ('1,relu,0,,1x3x0x8,2,1,0', 'above 0'),
    ('1,relu,0,,1x3x8x8,4,1,0', 'no dimension'),
])
def test_bad_rows_are_named(tmp_path, line, fault):
    file = write(tmp_path, START, '5,relu,0,,1x3x8x8,2,1,1', line)
    with pytest.raises(ParameterError, match=rf'net\.csv:4: .*{fault}'):
        read_table(file)


@pytest.mark.parametrize('text, fault', [
    ('', 'no column op'), ('op,kind\n', 'no column inputs'), (HEADER + '\n', 'no operators'),
    (f'{HEADER}\n{START}\n1,_end,0,,1x3x8x8,None,0,0\n', 'no operators'),
    (f'{HEADER}\n{START}\n1,_end,0,,1,None,0,0\n2,relu,0,,1,None,0,0\n', 'no operators'),
])
def test_bad_files_are_refused(tmp_path, text, fault):
    file = tmp_path / 'net.csv'
    file.write_text(text)
    with pytest.raises(ParameterError, match=fault):
        read_table(file)
    with pytest.raises(ParameterError, match='cannot read'):
        read_table(tmp_path / 'absent.csv')
    with pytest.raises(ParameterError, match='none of torch'):
        read_table(file, input_dtype='float12')
