"""The parameter server over real DDS: what it decides, whom it obeys, what it survives."""

import math
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter as Value
from rclpy.task import Future
from robots import link_state, started

from intradp_ros.msg import LinkState, Plan
from intradp_ros.nodes import parameter_server, qos
from intradp_ros.nodes.device_node import DeviceNode
from intradp_ros.nodes.parameter_server import ParameterServer


class Plans:
    """A device, the test's word for its link, and what the parameter server says and does."""

    def __init__(self, graph, **device):
        self.graph, self.plans, self.said = graph, [], {}
        self.options = device
        probe = graph.probe()
        probe.create_subscription(Plan, 'intradp/plan', self.plans.append, qos.LATCHED)
        probe.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)
        self.link = probe.create_publisher(LinkState, 'intradp/link', qos.LINK)
        self.start_device()

    def start_device(self):
        self.device = started(self.graph, DeviceNode, **self.options)
        self.device._periodic.close()

    def end(self, node):
        """Take a node away as if its process had died."""
        self.graph.nodes.remove(node)
        self.graph.call(getattr(node, 'close', lambda: None))
        self.graph.executor.remove_node(node)
        self.graph.call(node.destroy_node)

    def _hear(self, array):
        self.said |= {s.name.rpartition('/')[2]: s for s in array.status}

    def figures(self):
        """Summary and figures of the server's diagnostics, as far as they have come."""
        said = self.said.get('parameter_server: plan', DiagnosticStatus())
        return said.message, {v.key: v.value for v in said.values}

    def tile_count(self):
        return self.device.get_parameter('tile_count').value

    def tell(self, count, **link):
        """Say how the link is until the device has so many tiles."""
        def reached():
            self.link.publish(link_state(**link))
            return self.tile_count() == count
        self.graph.wait(reached)


def test_the_parameter_server_tunes_and_respects_an_operator(graph):
    system = Plans(graph)
    device, plans = system.device, system.plans
    server = graph.add(ParameterServer, period=0.1, deadline_ms=777.0)
    system.tell(3, cost_ms=5.0)  # 300 ms for the frame, 5 ms for a message
    system.tell(10)
    assert device.get_parameter('deadline_ms').value == 777.0
    graph.wait(lambda: plans and plans[-1].tile_count == 10)
    assert plans[-1].deadline_ms == 777.0 and 'MB/s' in plans[-1].reason
    graph.wait(lambda: device.session.settings.plan == plans[-1].number)
    # An operator sets it by hand: it stays, whatever the link does.
    assert graph.call(device.set_parameters, [Value('tile_count', value=20)])[0].successful
    graph.wait(lambda: server._owner.pinned)
    for _ in range(10):
        system.link.publish(link_state())
        time.sleep(0.05)
    assert system.tile_count() == 20
    # Setting it on the server gives it back.
    graph.call(server.set_parameters, [Value('tile_count', value=0)])
    system.tell(10)


def test_the_parameter_server_plans_and_the_device_keeps_its_plan(graph, profile_file):
    system = Plans(graph, mode='neurosurgeon', profile=profile_file)
    device, plans = system.device, system.plans
    server = graph.add(ParameterServer, period=0.1, profile=profile_file)

    def planned(goodput, ways):
        system.link.publish(link_state(goodput))
        has = {n: device.get_parameter(n).value for n in ('way', 'merge', 'tile_count')}
        return plans and plans[-1].way == has['way'] in ways and plans[-1].merge == has['merge']
    graph.wait(lambda: planned(1e4, ('local',)))
    graph.wait(lambda: planned(5e7, ('cut', 'offload')))
    assert 'neurosurgeon' in plans[-1].reason and plans[-1].tile_count == 1
    graph.wait(lambda: device.session.settings.plan == plans[-1].number)
    assert device.session.settings.way == plans[-1].way
    # What an operator sets stays, and the rest goes on being planned.
    assert graph.call(device.set_parameters, [Value('tile_count', value=5)])[0].successful
    graph.wait(lambda: server._owner.pinned)
    graph.wait(lambda: planned(1e4, ('local',)))
    assert device.get_parameter('tile_count').value == 5
    # It may die: the device has its plan.
    graph.call(server.destroy_node)
    graph.nodes.remove(server)
    assert device.session.settings.way == 'local'


def test_the_rival_of_a_plan_is_done_now_and_then_by_the_device(graph, profile_file):
    system = Plans(graph, mode='frontier', hedge='never', profile=profile_file)
    device, plans = system.device, system.plans
    graph.add(ParameterServer, period=0.1, profile=profile_file)

    def rival():
        system.link.publish(link_state())
        return device.session.settings.rival
    graph.wait(rival)
    graph.wait(lambda: device.session.settings.plan == plans[-1].number)
    plan, there = plans[-1], rival()
    assert (there.way, there.tile_count, there.codec, there.new, there.hedge) == (
        plan.rival_way, plan.rival_tile_count, plan.rival_codec, True, False)
    assert (plan.way, plan.merge) != (plan.rival_way, plan.rival_merge)
    # Whoever hedges sees what local inference takes in each frame.
    for hedge in 'always', 'never':
        graph.call(device.set_parameters, [Value('hedge', value=hedge)])
        graph.wait(lambda wanted=hedge: bool(rival()) == (wanted == 'never'))
    # What an operator set by hand a rival would not have.
    assert graph.call(device.set_parameters, [Value('tile_count', value=5)])[0].successful
    graph.wait(lambda: rival() is None and plans[-1].rival_way == '')
    assert device.session.settings.tile_count == 5


@pytest.mark.parametrize('fields, text', [
    ({'rival_way': 'cut', 'rival_merge': 'no.such.tensor', 'rival_tile_count': 2,
      'rival_codec': 'uint8'}, 'no.such.tensor'),
    ({'rival_way': 'offload', 'rival_codec': 'uint8'}, 'rival of plan 9: tile_count must lie'),
    ({'rival_way': 'fly'}, 'way must be one of'),
    ({'rival_way': 'split', 'rival_device_share': math.nan, 'rival_tile_count': 1,
      'rival_codec': 'uint8'}, 'device_share must lie')])
def test_a_rival_that_cannot_be_is_left_out_and_the_plan_stands(graph, monkeypatch, fields, text):
    warned = []
    device = started(graph, DeviceNode, mode='frontier', way='local', hedge='never')
    monkeypatch.setattr(device, 'warn', warned.append)
    plans = graph.probe().create_publisher(Plan, 'intradp/plan', qos.LATCHED)
    plans.publish(Plan(number=8, rival_way='offload', rival_tile_count=3, rival_codec='uint8'))
    graph.wait(lambda: device.session.settings.rival)
    assert device.session.settings.rival.tile_count == 3
    plans.publish(Plan(number=9, **fields))
    graph.wait(lambda: warned)
    assert text in warned[0]
    settings = device.session.settings
    assert (settings.plan, settings.way, settings.rival) == (9, 'local', None)


def test_a_link_that_trembles_changes_no_plan_and_reasons_are_in_diagnostics(graph):
    system = Plans(graph)
    server = graph.add(ParameterServer, period=0.1)
    system.tell(3, cost_ms=5.0)
    system.tell(10)
    graph.wait(lambda: system.plans and system.plans[-1].tile_count == 10)
    number = system.plans[-1].number
    for i in range(40):
        system.link.publish(link_state(1e6 * (0.85, 1.15)[i % 2], cost_ms=(1.3, 1.6)[i % 2]))
        time.sleep(0.05)
    assert system.tile_count() == 10 and system.plans[-1].number == number == server._number
    graph.wait(lambda: 'MB/s' in system.figures()[0])
    assert graph.call(system.device.set_parameters, [Value('tile_count', value=7)])[0].successful
    graph.wait(lambda: system.figures()[1].get('pinned by an operator: tile_count') == '7')


def test_the_parameter_server_dies_and_another_goes_on(graph):
    system = Plans(graph)
    server = graph.add(ParameterServer, period=0.1)
    system.tell(3, cost_ms=5.0)
    graph.wait(lambda: system.plans and system.plans[-1].tile_count == 3)
    system.end(server)
    for _ in range(5):
        system.link.publish(link_state())
        time.sleep(0.05)
    assert system.tile_count() == 3  # nobody decides: the last plan stays
    graph.add(ParameterServer, period=0.1)
    system.tell(10)
    graph.wait(lambda: system.plans[-1].tile_count == 10)


def test_a_device_that_comes_back_is_given_its_plan_again(graph):
    system = Plans(graph)
    server = graph.add(ParameterServer, period=0.1, deadline_ms=777.0)
    system.tell(3, cost_ms=5.0)
    assert graph.call(system.device.set_parameters, [Value('codec', value='zlib')])[0].successful
    graph.wait(lambda: server._owner.pinned)
    system.end(system.device)
    graph.wait(lambda: 'not answer' in system.figures()[0])
    assert server._pending is None
    system.start_device()
    system.tell(3, cost_ms=5.0)
    assert system.device.get_parameter('deadline_ms').value == 777.0
    assert not server._owner.pinned  # what the operator had set is gone


def test_a_request_that_is_never_answered_is_made_again(graph, monkeypatch):
    monkeypatch.setattr(parameter_server, 'ANSWER', 0.3)
    system = Plans(graph)
    server = graph.add(ParameterServer, period=0.1)
    server._pending, server._asked = Future(), time.monotonic()  # its device was killed
    system.tell(3, cost_ms=5.0)
