"""The mailbox: the newest wins, what it replaces is counted, closing wakes."""

import threading

from intradp_ros.runtime.mailbox import Mailbox


def test_the_newest_wins():
    box = Mailbox()
    for i in range(5):
        box.put(i)
    assert box.take() == 4
    assert (box.received, box.dropped) == (5, 4)


def test_closing_wakes_the_taker():
    box, taken = Mailbox(), []
    thread = threading.Thread(target=lambda: taken.append(box.take()))
    thread.start()
    box.close()
    thread.join(5)
    assert taken == [None]
