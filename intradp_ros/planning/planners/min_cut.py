"""
The cut through any number of tensors that costs least, by a minimum s-t cut.

DADS: Hu, Bao, Wang, Liu: Dynamic Adaptive DNN Surgery for Inference Acceleration on the Edge,
IEEE INFOCOM 2019. DNN Surgery Light minimises the sum of the three stages (device, transfer,
cloud), exactly; DNN Surgery Heavy minimises the largest of them, which is NP-hard, within a factor
of 3. flow.py has the network.

Where this departs from it, and why:

- The camera's image is a vertex that the device alone can run, and postprocessing is one that
  either side can: the result's way back and the round trip are its cost on the edge, so that the
  cut's cost is the simulated latency of the sequential plan.
- What a tensor costs to send is its time on the link, messages and encoding included, not only
  its bytes over the bandwidth. Messages of several tensors overlap a little more than that sum
  says: the cut is worse than the best by less than handing over one message for each of them.
- Energy: a second of each stage weighs the watts that the device draws in it. The paper has no
  energy. A deadline or a cap chooses among all cuts that are best for some mixture of latency and
  energy: what is best under it need not be one of them.
- Heavy load: cuts for several weights of the stages, each time more for the one that was the
  largest. The first weighs them alike, whose largest stage is at most the sum of the stages of the
  best cut, so three times its largest: the paper's factor holds, and so the paper's own scheme,
  which is not specified well enough to be copied, is not needed. Cuts through single tensors are
  tried too.
"""

from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup, best
from intradp_ros.planning.planners import flow
from intradp_ros.planning.planners.partition import (
    LATENCY,
    Cut,
    Partition,
    Rates,
    answer,
    joules,
    partition,
)

HEAVY_ROUNDS = 12


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Cut where it costs least; a link with a trace is judged one tensor at a time."""
    problem = partition(setup)
    power = joules(setup.device.power)
    if objective.goal == 'throughput':
        cuts = heavy(problem, link)
    elif objective.goal == 'deadline' or objective.energy_cap:
        cuts = mixtures(problem, link, power)
    else:
        cuts = [least(problem, link, power if objective.goal == 'energy' else LATENCY)]
    if len(cuts) > 1:
        cuts += [problem.cut(range(v + 1)) for v in problem.articulations]
    return best(setup, [problem.plan(cut, 'min_cut') for cut in dict.fromkeys(cuts)], link,
                objective)


def least(problem: Partition, link: Link, rates: Rates) -> Cut:
    """Find the cut with the least weighted sum of stages on a link (DNN Surgery Light)."""
    far = [t * rates.edge for t in problem.far]
    # Handing over the first message is counted once, with the answer, and not for each tensor.
    far[-1] += rates.up * link.message_seconds + answer(
        link, rates, problem.setup.device.result_bytes)
    at_once = -link.message_seconds
    sends = {s: rates.up * link.arrival(0.0, s.size, handed=at_once) + rates.device * s.encode
             + rates.edge * s.decode for s in problem.sends}
    near = {v: t * rates.device for v, t in enumerate(problem.near)}
    return problem.cut(flow.closure(near, dict(enumerate(far)), sends, first=0))


def mixtures(problem: Partition, link: Link, power: Rates) -> list[Cut]:
    """Find the best cuts for every mixture of latency and energy."""
    def solve(p: float, q: float) -> tuple[float, float, Cut]:
        rates = Rates(*(p * getattr(LATENCY, name) + q * getattr(power, name)
                        for name in ('device', 'up', 'edge', 'down', 'wait')))
        cut = least(problem, link, rates)
        return cut.figures(link, LATENCY), cut.figures(link, power), cut

    return flow.envelope(solve)


def heavy(problem: Partition, link: Link) -> list[Cut]:
    """Find cuts that keep the largest stage small (in the sense of DNN Surgery Heavy)."""
    weights, cuts = [1.0, 1.0, 1.0], []
    for _ in range(HEAVY_ROUNDS):
        device, up, edge = weights
        cut = least(problem, link, Rates(device, up, edge, 0.0, 0.0))
        cuts.append(cut)
        stages = cut.stages(link)
        largest = max(stages)
        if not 0 < largest < float('inf'):
            break
        # Half way towards the stages' shares, so that it settles instead of swinging.
        weights = [w * (0.1 + stage / largest) ** 0.5 for w, stage in zip(weights, stages)]
    return cuts
