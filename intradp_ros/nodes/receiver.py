"""
A thread that takes the messages of some subscriptions as soon as they are there.

rclpy's executor looks at all that a node has each time it wakes up: about 0.4 ms of processor
time a message. A frame that is offered has some sixteen acknowledgements, and on a slow robot
their handling competes with inference. So they are waited for apart, on a wait set of rcl, which
is what executors are made of (and `rclpy.wait_for_message`).
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
    """Keeps subscriptions from executors, but not their QoS events."""

    def can_execute(self, entity) -> bool:
        """Whether an executor may have it."""
        return not isinstance(entity, Subscription)

    def beginning_execution(self, entity) -> bool:
        """Let it run beside anything else."""
        return True

    def ending_execution(self, entity) -> None:
        """Nothing to give back."""


class Receiver:
    """
    Calls the callbacks of subscriptions (made with an `Apart` group) until it is closed.

    Their callbacks take the message alone, and run one at a time, in this thread.

    :param failed: told of an exception of a callback; the next message is taken all the same.
    """

    def __init__(self, node: Node, subscriptions: Sequence[Subscription],
                 failed: Callable[[Exception], None]):
        self._subscriptions = subscriptions
        self._failed = failed
        self._context = node.context
        self._ended = threading.Event()
        self._wake = GuardCondition(lambda: None, None, node.context)
        self._thread = threading.Thread(target=self._run, name='receiver', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; to be done before the subscriptions are destroyed."""
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
            ready = rclpy_implementation.WaitSet(len(self._subscriptions), 1, 0, 0, 0, 0,
                                                 self._context.handle)
            while not self._ended.is_set() and self._context.ok():
                self._wait(ready)

    def _wait(self, ready: rclpy_implementation.WaitSet) -> None:
        """Wait until there are messages, or the end, and take them."""
        ready.clear_entities()
        for subscription in self._subscriptions:
            ready.add_subscription(subscription.handle)
        ready.add_guard_condition(self._wake.handle)
        ready.wait(FOREVER)
        found = ready.get_ready_entities('subscription')
        for subscription in self._subscriptions:
            if subscription.handle.pointer in found:
                self._take(subscription)

    def _take(self, subscription: Subscription) -> None:
        """Take all that there is of one."""
        while not self._ended.is_set() and (
                taken := subscription.handle.take_message(subscription.msg_type, False)):
            try:
                subscription.callback(taken[0])
            except Exception as error:  # one message must never end the thread
                self._failed(error)
