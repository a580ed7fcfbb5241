"""Nodes of a test live in a context, a domain and an executor of their own."""

import platform
import threading
import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

from intradp_ros.planning.profile import estimated
from intradp_ros.planning.profile_file import save


class Graph:
    """Spins nodes in a thread."""

    def __init__(self, domain):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []
        self.error = None
        self._ended = False
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self):
        while not self._ended:
            try:
                self.executor.spin_once(timeout_sec=0.05)
            except Exception as error:  # a test must see what leaves a callback
                self.error = error
                return

    def call(self, function, *arguments):
        """Call on the executor's thread, where callbacks run, and give the result."""
        task = self.executor.create_task(function, *arguments)
        self.wait(task.done, 60)
        return task.result()

    def add(self, factory, namespace='/robot', **overrides):
        """Make one of our nodes and spin it."""
        node = factory(overrides=overrides, context=self.context, namespace=namespace)
        self.executor.add_node(node)
        self.nodes.append(node)
        return node

    def probe(self, namespace='/robot'):
        """Make a plain node for the test's own subscriptions."""
        node = rclpy.create_node('probe', context=self.context, namespace=namespace)
        self.executor.add_node(node)
        self.nodes.append(node)
        return node

    def wait(self, condition, seconds=30):
        """Wait until something holds; fails when it does not in time."""
        until = time.monotonic() + seconds
        while not condition():
            assert self.error is None, self.error
            assert time.monotonic() < until, f'not within {seconds} s'
            time.sleep(0.01)

    def close(self):
        self._ended = True
        self._thread.join(10)
        for node in self.nodes:
            getattr(node, 'close', lambda: None)()
        self.executor.shutdown()
        for node in self.nodes:
            node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def graph(domain):
    made = Graph(domain)
    yield made
    made.close()
    assert made.error is None


@pytest.fixture
def profile_file(detector, tmp_path, monkeypatch):
    """Keep a profile where the nodes look, so that none is measured."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    profile = estimated(detector.graph, 2e9, model=detector.name, host=platform.node())
    path = tmp_path / 'profile.json'
    save(profile, path)
    return str(path)
