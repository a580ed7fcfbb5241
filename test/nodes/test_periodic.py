"""Calls at intervals, whatever they raise, until they are closed."""

import queue
import threading

from intradp_ros.nodes.periodic import Periodic


def test_every_call_is_made_again_and_again_whatever_it_raises():
    made, errors = queue.Queue(), queue.Queue()

    def fails():
        made.put('fails')
        raise ValueError('not now')
    periodic = Periodic({lambda: made.put('works'): 0.001, fails: 0.002}, errors.put)
    seen = [made.get(timeout=10) for _ in range(100)]
    assert seen.count('works') > seen.count('fails') > 10
    assert str(errors.get(timeout=10)) == 'not now'
    periodic.close()
    made.queue.clear()
    assert not threading.Event().wait(0.02) and made.empty()
    periodic.close()
