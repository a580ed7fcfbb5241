"""
A thread that takes the messages of some subscriptions as soon as they are there.

rclpy's executor looks at all that a node has each time it wakes up: about 0.4 ms of processor
time a message. A frame that is offered has some sixteen acknowledgements, and on a slow robot
their handling competes with inference; an edge has the tiles of all robots. So they are waited
for apart, on a wait set of rcl, which is what executors are made of (and
`rclpy.wait_for_message`).
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from rclpy.callback_groups import CallbackGroup
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.subscription import Subscription

FOREVER = -1


class Apart(CallbackGroup):
    """
    Keeps subscriptions from executors, and their QoS events, too: rmw_fastrtps has one condition
    for both, so whoever waited for the events would wake up with each message.
    """

    def can_execute(self, entity) -> bool:
        """Executors may have nothing of it."""
        return False

    def beginning_execution(self, entity) -> bool:
        """Executors may have nothing of it."""
        return False

    def ending_execution(self, entity) -> None:
        """Nothing was begun."""


class Receiver:
    """
    Calls the callbacks of subscriptions (made with an `Apart` group) and of their events until it
    is closed.

    They take a message and its MessageInfo, or an event, and run one at a time, in this thread.

    :param failed: told of an exception of a callback; the next message is taken all the same.
    """

    def __init__(self, node: Node, subscriptions: Sequence[Subscription],
                 failed: Callable[[Exception], None]):
        self._subscriptions = subscriptions
        self._events = [event for s in subscriptions for event in s.event_handlers]
        self._failed = failed
        self._context = node.context
        self._ended = threading.Event()
        self._wake = GuardCondition(lambda: None, None, node.context)
        self._thread = threading.Thread(target=self._run, name='receiver', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, once; to be done before the subscriptions are destroyed."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._wake.trigger()
        self._thread.join()
        self._wake.destroy()

    def _run(self) -> None:
        # Whatever is destroyed meanwhile (a context that ends takes its nodes along) stays until
        # nobody waits for it any more.
        with ExitStack() as held, suppress(rclpy_implementation.InvalidHandle):
            for thing in (self._context, self._wake, *self._subscriptions):
                held.enter_context(thing.handle)
            for event in self._events:
                held.enter_context(event)
            ready = rclpy_implementation.WaitSet(
                len(self._subscriptions), 1, 0, 0, 0, len(self._events), self._context.handle)
            while not self._ended.is_set() and self._context.ok():
                self._wait(ready)

    def _wait(self, ready: rclpy_implementation.WaitSet) -> None:
        """Wait until there are messages, or the end, and take them."""
        ready.clear_entities()
        for subscription in self._subscriptions:
            ready.add_subscription(subscription.handle)
        for event in self._events:
            event.add_to_wait_set(ready)
        ready.add_guard_condition(self._wake.handle)
        ready.wait(FOREVER)
        found = ready.get_ready_entities('subscription')
        for subscription in self._subscriptions:
            if subscription.handle.pointer in found:
                self._take(subscription)
        for event in self._events:
            if event.is_ready(ready) and (happened := event.take_data()):
                self._call(event.callback, happened)

    def _take(self, subscription: Subscription) -> None:
        """Take all that there is of one."""
        while not self._ended.is_set() and (
                taken := subscription.handle.take_message(subscription.msg_type, False)):
            self._call(subscription.callback, *taken)

    def _call(self, callback: Callable[..., None], *taken: object) -> None:
        try:
            callback(*taken)
        except Exception as error:  # one message must never end the thread
            self._failed(error)
