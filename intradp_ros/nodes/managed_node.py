"""
What the lifecycle nodes share: parameter table, autostart, a way onto the executor, diagnostics,
main.
"""

import os
import re
import signal
import sys
import threading
import time
import traceback
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter as Value
from rclpy.utilities import get_rmw_implementation_identifier

from intradp_ros.errors import IntraDPError
from intradp_ros.nodes import conversions, middleware, parameters
from intradp_ros.nodes.parameters import Parameter
from intradp_ros.nodes.periodic import Periodic
from intradp_ros.runtime import memory

# Seconds that a node has to close after a signal; one that is building its model is left at it.
GRACE = 0.8


class ManagedNode(LifecycleNode):
    """
    A lifecycle node that configures cheaply, holds its model only while active, and starts by
    itself.

    :param overrides: start values of parameters, as tests give them.
    """

    _heartbeat: Periodic | None = None

    def __init__(self, name: str, table: tuple[Parameter, ...],
                 overrides: dict[str, object] | None = None, **options):
        super().__init__(name, parameter_overrides=[
            Value(key, value=value) for key, value in (overrides or {}).items()], **options)
        self.table = (parameters.AUTOSTART, *table)
        self.active = False
        self._calls: deque[Callable[[], None]] = deque()
        self._wake = self.create_guard_condition(self._run_calls)
        self._warned: dict[str, float] = {}
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Held while figures are read, which are gone with the work.
        self._reading = threading.Lock()
        parameters.declare(self, self.table, lambda: self.active)
        self.add_post_set_parameters_callback(lambda _: self.apply_parameters())
        self._heartbeat = Periodic({self._publish_diagnostics: 1.0}, self.failed)

    def destroy_node(self) -> None:
        """Leave the graph; nothing is published any more."""
        if self._heartbeat:  # parameters were accepted
            self._heartbeat.close()
        super().destroy_node()

    @abstractmethod
    def start_work(self) -> None:
        """Build what is needed while active (called by on_activate); may raise IntraDPError."""

    @abstractmethod
    def stop_work(self) -> None:
        """Free what `start_work` built, or what it had built when it raised."""

    @abstractmethod
    def figures(self) -> tuple[bytes, str, dict[str, object]]:
        """Give level, summary and figures for /diagnostics while active; on its own thread."""

    def apply_parameters(self) -> None:
        """Take over changed parameters (after they were judged)."""

    def value(self, name: str):
        """Read one parameter."""
        return self.get_parameter(name).value

    # -- lifecycle -----------------------------------------------------------------------------

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start work; a failure leaves the node inactive and says why."""
        begin = time.monotonic()
        try:
            self.start_work()
        except IntraDPError as error:
            self.get_logger().error(f'cannot activate: {error}')
            self.stop_work()
            return TransitionCallbackReturn.FAILURE
        self.active = True
        self.get_logger().info(f'active after {time.monotonic() - begin:.1f} s')
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop work."""
        self.close()
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop work, whatever state this was."""
        self.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop work and go back to the beginning."""
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Stop work if there is any; safe at any time."""
        if self.active:
            with self._reading:
                self.active = False
            self.stop_work()

    def start(self) -> bool:
        """Configure and activate, if parameter autostart says so; False when that failed."""
        if not self.value('autostart'):
            return True
        return (self.trigger_configure() is TransitionCallbackReturn.SUCCESS
                and self.trigger_activate() is TransitionCallbackReturn.SUCCESS)

    # -- for the work --------------------------------------------------------------------------

    def post(self, call: Callable[[], None]) -> None:
        """Have the executor's thread make a call; never blocks, from any thread, in order."""
        self._calls.append(call)
        self._wake.trigger()

    def warn(self, text: str) -> None:
        """
        Log a warning, each kind (its first words, whatever their numbers) at most once a second;
        from any thread.
        """
        kind, now = re.sub(r'\d+', '', text)[:24], time.monotonic()
        if now >= self._warned.get(kind, 0.0) + 1.0:
            if len(self._warned) > 100:
                self._warned.clear()
            self._warned[kind] = now
            self.get_logger().warning(text)

    def failed(self, error: Exception) -> None:
        """Log what a callback raised; one that is called while the node ends may find it gone."""
        if self.context.ok():
            self.warn(f'a callback failed: {type(error).__name__}: {error}')

    def _run_calls(self) -> None:
        """
        Make the calls that wait; after a shutdown of the context there is nobody to hear
        them.
        """
        while self._calls and self.context.ok():
            self._calls.popleft()()

    def _publish_diagnostics(self) -> None:
        if not self.context.ok():
            return
        with self._reading:
            level, summary, figures = self.figures() if self.active else (
                DiagnosticStatus.WARN, 'not active', {})
        array = DiagnosticArray(status=[conversions.diagnostic(
            f'{self.get_fully_qualified_name().lstrip("/")}: work', self.get_namespace(),
            level, summary, figures)])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def run(factory: Callable[[], Node], args: list[str] | None = None) -> int:
    """
    Spin one node until SIGINT or SIGTERM.

    The node lives in a thread of its own and the main thread only hears signals. An exception
    that a signal raises wherever the node just is gets lost in a destructor of Python's, and in
    one of torch's, while a model is captured, it aborts the process.

    :returns: exit code: 0 after a signal, 1 when the node could not start, 2 for bad parameters.
    """
    codes: SimpleQueue[int] = SimpleQueue()  # its put() may interrupt itself, as a handler does
    _on_signals(lambda *_: codes.put(0))

    def live() -> None:
        code = 1  # of a node that cannot even close
        try:
            code = _live(factory, args)
        finally:
            codes.put(code)
    life = threading.Thread(target=live, name='node', daemon=True)
    life.start()
    code = codes.get()
    # A second signal while things are being closed changes nothing: they are being closed.
    _on_signals(signal.SIG_IGN)
    # rclpy's own handler has ended the context: the node's thread closes everything.
    life.join(GRACE)
    return code


def _live(factory: Callable[[], Node], args: list[str] | None) -> int:
    """Spin one node until the context ends; the exit code."""
    node, executor = None, None
    try:
        memory.keep_freed()
        memory.bound_kernels()
        os.environ.update(middleware.settings(os.environ, get_rmw_implementation_identifier()))
        rclpy.init(args=args)
        executor = SingleThreadedExecutor()
        node = factory()
        executor.add_node(node)
        if isinstance(node, ManagedNode) and not node.start():
            return int(rclpy.ok())  # a signal while the model was being built is no failure
        executor.spin()
    except ExternalShutdownException:
        pass
    except IntraDPError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except Exception:
        # A callback that was at work when the signal came finds its publisher's context gone.
        if rclpy.ok():
            traceback.print_exc()
            return 1
    finally:
        if node is not None:
            getattr(node, 'close', lambda: None)()
        if executor is not None:
            executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _on_signals(handler: Callable | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
