"""Results are added to where nothing but their rows would differ."""

import json

import record


def test_results_of_the_same_conditions_are_added_to(tmp_path):
    path = tmp_path / 'rho0.5'
    record.write(path, {'cpu': 'a', 'rows': [1]}, 'one\n')
    assert (tmp_path / 'rho0.5.md').read_text() == 'one\n'
    assert json.loads((tmp_path / 'rho0.5.json').read_text()) == {'cpu': 'a', 'rows': [1]}
    same, other = {'cpu': 'a', 'rows': []}, {'cpu': 'b', 'rows': []}
    assert record.continued(path, same, 'rows') == {'cpu': 'a', 'rows': [1]}
    assert record.continued(path, other, 'rows') is other
    assert record.continued(tmp_path / 'none', same, 'rows') is same
    assert record.continued(None, same, 'rows') is same
