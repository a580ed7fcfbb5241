from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx, mark, raises

import traces
from intradp_ros.errors import ParameterError

SEEDS = st.integers(0, 2**32 - 1)


def silent(trace):
    return sum(hold for hold, rate in traces.steps(trace) if rate == 0)


@given(SEEDS, st.floats(1, 50))
@settings(max_examples=40, deadline=None)
def test_a_walk_stays_within_its_bounds_and_is_its_seeds(seed, seconds):
    made = traces.walk(seconds, 5e6, 1e6, 9e6, 1.0, 2.0, seed)
    assert made == traces.walk(seconds, 5e6, 1e6, 9e6, 1.0, 2.0, seed)
    assert all(1e6 <= rate <= 9e6 for _, rate in made)
    times = [time for time, _ in made]
    assert times[0] == 0 and times == sorted(set(times))
    assert traces.length(made) == approx(seconds, abs=traces.STEP)


def test_a_walk_forgets_as_fast_and_strays_as_far_as_it_is_told():
    import numpy as np
    logs = np.log([rate for _, rate in traces.walk(4000, 1e6, 1, 1e12, 0.5, 2.0, 3)]) - np.log(1e6)
    assert logs.mean() == approx(0, abs=0.1)
    assert logs.std() == approx(0.5, rel=0.1)
    lag = round(2.0 / traces.STEP)
    assert np.corrcoef(logs[:-lag], logs[lag:])[0, 1] == approx(np.exp(-1), abs=0.1)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_outages_are_as_long_and_as_many_as_asked(seed):
    gaps = (0.1, 0.5, 3.0, 0.5)
    cut = traces.with_outages(traces.lte(30, seed), gaps, seed)
    assert silent(cut) == approx(sum(gaps))
    assert traces.length(cut) == approx(30, abs=0.2)
    runs, rates = 0, [rate for _, rate in cut]
    for before, rate in zip([1.0, *rates], rates):
        runs += rate == 0 < before
    assert runs == len(gaps)


def test_outages_that_do_not_fit_are_refused():
    with raises(ParameterError, match='3.0 s does not fit'):
        traces.roaming(traces.wifi(12, 0), 0)
    assert silent(traces.roaming(traces.wifi(60, 0), 0)) == approx(7.2)


def test_bursts_leave_their_share_and_nothing_else_changes():
    plain = [(float(t), 8e6) for t in range(100)]
    busy = traces.with_bursts(plain, 10.0, 2.0, 0.25, 1)
    assert {rate for _, rate in busy} == {8e6, 2e6}
    share = sum(hold for hold, rate in traces.steps(busy) if rate == 2e6) / 100
    assert 0.05 < share < 0.4
    assert traces.mean(busy) == approx(8e6 - 6e6 * share)
    assert traces.with_bursts(plain, 10.0, 2.0, 1.0, 1)[0] == plain[0]


def test_files_are_read_as_they_were_written(tmp_path):
    made = traces.roaming(traces.wifi(30, 5), 5)
    traces.write(made, tmp_path / 'a.csv')
    read = traces.read(tmp_path / 'a.csv', scale=2.0)
    assert [t for t, _ in read] == approx([t for t, _ in made], abs=1e-3)
    assert [r for _, r in read] == approx([2 * r for _, r in made], abs=300)


@mark.parametrize('text, said', [
    ('t,bw\n', 'holds no'), ('t,bw\n0,1\n0,2\n', 'line 3'), ('t,bw\n0,x\n', 'line 2'),
    ('t,bw\n0,-1\n', 'line 2'), ('t,bw\n0\n', 'line 2'), ('t,bw\n0,nan\n', 'line 2')])
def test_files_that_are_no_traces_are_refused_with_the_line(tmp_path, text, said):
    (tmp_path / 'a.csv').write_text(text)
    with raises(ParameterError, match=said):
        traces.read(tmp_path / 'a.csv')


def test_a_coarse_trace_keeps_every_outage():
    fine = [(k / 1000, 1e6 + k) for k in range(1000)]
    fine[500] = (0.5, 0.0)
    made = traces.coarse(fine, 0.1)
    assert (0.5, 0.0) in made and made[made.index((0.5, 0.0)) + 1][0] == 0.501
    assert len(made) < 20
