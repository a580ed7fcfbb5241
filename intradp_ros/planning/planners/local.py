"""The whole model on the device: what a robot without an edge does."""

from intradp_ros.planning import ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Compute everything on the device, whatever the link and the objective."""
    return ways.local(setup)
