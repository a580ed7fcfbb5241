"""
The best cut through a single tensor, by trying them all.

Kang et al.: Neurosurgeon: Collaborative Intelligence Between the Cloud and Mobile Edge,
ASPLOS 2017, Section 5 and its Algorithm 1: for every layer, the time of the layers up to it on the
device, of its output on the link and of the rest in the cloud; the least is taken, by latency or
by energy.

Where this departs from it: layers' times are measured on the very model (a profile), not predicted
from a layer's configuration; a model need not be a chain, so the candidates are the tensors that
every path passes; the energy counts what the device draws while it waits; the answer's way back
counts. Deadlines, caps and throughput choose among the same cuts.
"""

from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup, best
from intradp_ros.planning.planners.partition import partition


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Try local inference, offload, and the cut behind each tensor that everything passes."""
    problem = partition(setup)
    plans = [problem.plan(problem.cut(range(v + 1)), 'neurosurgeon')
             for v in problem.articulations]
    return best(setup, plans, link, objective)
