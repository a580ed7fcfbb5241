from pytest import raises

import bench_model
import grid
from intradp_ros.errors import ParameterError
from methods import EXACT_RIVALS, METHODS

MODELS, RHOS = ['demo_detector', 'retinanet_resnet50_fpn'], [0.25, 1.0, 4.0]


def test_every_combination_is_run_once_whatever_the_order():
    cells = grid.cells(MODELS, RHOS, list(METHODS))
    for seed in range(5):
        groups = grid.groups(cells, seed)
        ordered = [cell for group in groups for cell in group]
        assert sorted(ordered, key=str) == sorted(cells, key=str)
        assert len({cell.name for cell in cells}) == len(cells)
        models = [cell.model for cell in ordered]
        assert models == sorted(models), 'a model is left and come back to'
        for group in groups:
            assert len({(c.model, METHODS[c.method].topology, METHODS[c.method].servers)
                        for c in group}) == 1
            rhos = [(c.model, c.rho) for c in group]
            assert len(set(rhos)) == 1 + sum(a != b for a, b in zip(rhos, rhos[1:])), \
                'a bandwidth is left and come back to'
    orders = {tuple(c.method for g in grid.groups(cells, seed) for c in g) for seed in range(5)}
    assert len(orders) == 5
    assert grid.groups(cells, 3) == grid.groups(cells, 3)


def test_what_there_is_not_is_refused():
    with raises(ParameterError, match='unknown methods magic; there are: local, offload'):
        grid.cells(MODELS, RHOS, ['local', 'magic'])
    with raises(ParameterError, match='rho'):
        grid.cells(MODELS, [1.0, 0.0], ['local'])


def test_an_interrupted_run_goes_on_with_what_is_missing(tmp_path):
    cells = grid.cells(MODELS, RHOS, ['local', 'offload', 'frontier'])
    assert grid.pending(cells, tmp_path / 'none yet') == cells
    for cell in cells[:5]:
        grid.save(tmp_path, cell.name, grid.result_of(cell, figures={}))
    grid.save(tmp_path, cells[5].name, grid.result_of(cells[5], refused='no such mode'))
    # What was being written when the power went does not count.
    (tmp_path / f'.{cells[6].name}.json.1.new').write_text('{"mod')
    assert grid.pending(cells, tmp_path) == cells[5:]
    assert grid.load(tmp_path, cells[0].name) == {
        'model': cells[0].model, 'rho': cells[0].rho, 'method': cells[0].method, 'figures': {}}


def test_time_is_shared_evenly_not_frames():
    fast, slow = ('fast', 1.0), ('slow', 1.0)
    costs = {fast: grid.Cost(10.0, 1.0), slow: grid.Cost(100.0, 20.0)}
    assert grid.frames_that_fit(100, 3600, costs) == {fast: 100, slow: 100}
    assert grid.frames_that_fit(100, 1010, costs) == {fast: 100, slow: 40}
    assert grid.frames_that_fit(100, 310, costs) == {fast: 10, slow: 10}
    # Less than that says too little, and rho = 1 stays.
    assert grid.frames_that_fit(100, -5, costs) == {fast: 10, slow: 10}
    assert grid.frames_that_fit(6, -5, costs) == {fast: 6, slow: 6}


def test_what_costs_most_and_is_farthest_from_rho_1_is_left_for_another_run():
    costs = {(model, rho): grid.Cost(0.0, a_frame_each * max(1.0, rho))
             for model, a_frame_each in (('fast', 1.0), ('slow', 10.0)) for rho in grid.RHOS}
    least = sum(cost.of(grid.LEAST_FRAMES) for cost in costs.values())
    assert least == 1980.0
    assert grid.frames_that_fit(10, least, costs) == dict.fromkeys(costs, 10)
    for seconds, missing in ((1979.9, [8.0]), (1179.9, [8.0, 4.0]), (779.9, [8.0, 4.0, 1 / 8])):
        frames = grid.frames_that_fit(10, seconds, costs)
        assert costs.keys() - frames.keys() == {('slow', rho) for rho in missing}
    assert grid.frames_that_fit(100, 0.0, costs) == {('fast', 1.0): 10, ('slow', 1.0): 10}
    one = {('slow', 4.0): grid.Cost(0.0, 40.0)}
    assert grid.frames_that_fit(10, 0.0, one) == {('slow', 4.0): 10}
    assert grid.frames_that_fit(10, 0.0, {}) == {}


def test_slow_models_settle_in_as_many_seconds_not_frames():
    ours, fixed = METHODS['frontier'], METHODS['local']
    assert ours.warmup(0.1) == 60 > ours.warmup(0.5) > ours.warmup(10) == fixed.warmup(0.1)
    assert ours.warmup(0.5) * 0.5 == 12.0
    assert fixed.warmup(0.5) == 10 > fixed.warmup(1.0) == 5 > fixed.warmup(10) == 2
    assert [m.warmup_again(0.2) for m in (ours, fixed)] == [12, 3]
    assert [m.warmup_again(10) for m in (ours, fixed)] == [3, 1]


def test_who_decides_has_seconds_for_it_however_short_frames_are():
    ours, fixed = METHODS['frontier'], METHODS['local']
    assert [ours.warmup(0.02), ours.warmup_again(0.02)] == [100, 100]
    assert ours.warmup_again(0.1) == 20
    assert [fixed.warmup(0.02), fixed.warmup_again(0.02)] == [10, 3]


def test_rivals_of_the_frontier_are_exact_and_not_ours():
    assert {'local', 'offload', 'coacto'} <= set(EXACT_RIVALS)
    assert not {'frontier', 'auto', 'jpeg_offload', 'compressed_topic'} & set(EXACT_RIVALS)


def test_models_of_the_comparison():
    assert {'demo_detector', 'mobilenet_v2', 'vgg19'} <= set(bench_model.MODELS)
    assert bench_model.parameters('vgg19', '96x64') == {
        'model': 'vgg19', 'weights': 'random', 'score_threshold': 0.005, 'input_size': '96x64'}
    # One that is not in the grid: random weights, too.
    assert bench_model.parameters('resnet18')['weights'] == 'random'
    detector = bench_model.build(bench_model.parameters('squeezenet1_1', '96x64'))
    assert detector.input_shape == (64, 96, 3)
    with raises(ParameterError, match='yolo.*not in the zoo'):
        bench_model.parameters('yolo')
