"""
The whole input to the edge in one piece: the baseline that publications compare with.

One after the other: the frame is encoded, then sent, and the edge begins when it has all of it.
(Sent in bands that the edge begins with as they arrive, offload is one of `frontier`'s ways.)
"""

from intradp_ros.planning import ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Send the input as `setup.encoding` says, whatever the link and the objective."""
    return ways.sequential(setup, (), 'offload')
