"""
From a mode to what a session does: who plans, and what of a plan can be carried out.

Modes 'local', 'offload', 'split' and 'divided' are what their names say. Every other one is a
planner's name; 'auto' is `frontier` with the codec and halo that the accuracy budget allows. A
session meets the edge at one tensor, so instead of a plan that crosses several (some minimum cuts)
or gives each operator a share of its own (Intra-DP, CoActo) Neurosurgeon's cut at one tensor is
carried out, and the reason says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import itemgetter

from intradp_ros.errors import IntraDPError, ParameterError
from intradp_ros.model.graph import Graph
from intradp_ros.planning import planners
from intradp_ros.planning.encodings import encodings
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup, kind_of
from intradp_ros.planning.planners import frontier
from intradp_ros.planning.profile import Profile
from intradp_ros.planning.timeline import Timeline
from intradp_ros.runtime import budget
from intradp_ros.runtime.edge import LARGEST_MERGE
from intradp_ros.runtime.experience import UNCORRECTED, Factors, Kind
from intradp_ros.runtime.settings import DeviceSettings
from intradp_ros.tiling import part, split
from intradp_ros.tiling.part import Division

MANUAL = ('local', 'offload', 'split', 'divided')
# These plan with overlap, and choose by themselves between the two ways to wait.
OURS = ('frontier', 'auto')
NAMES = ('auto', *MANUAL, *(name for name in planners.NAMES if name not in MANUAL))
# A plan of another kind that is expected to take up to this factor longer is tried now and then.
RIVALRY = 1.5
# What parameter `hedge` says, as `Objective.hedge`.
HEDGES = {'auto': None, 'always': True, 'never': False}
WAYS = ('local', 'offload', 'cut', 'split', 'meeting', 'divided')


@dataclass(frozen=True)
class Decision:
    """
    What sessions do from now on: fields as in `DeviceSettings`, the tensor by its name.

    `device_share` is the share of the merge tensor's rows that the device computes ('split'), or
    of the image ('divided', each side with `halo_px` rows of the input beyond its part);
    `seconds` is what the timeline makes of a frame, `device_seconds` those in which the device
    computes, 0 where nothing was planned, `edge_seconds` those in which the edge does when all has
    arrived. `rival` is of another kind and nearly as good, as far as
    one knows: a frame now and then shows it, sooner where it is `new` (too few frames, however
    long ago, were of its kind to know what those take).
    """

    way: str
    merge: str = ''
    tile_count: int = 8
    codec: str = 'uint8'
    device_share: float = 0.0
    hedge: bool = False
    reason: str = ''
    seconds: float = 0.0
    device_seconds: float = 0.0
    edge_seconds: float = 0.0
    halo_px: int = 0
    rival: 'Decision | None' = None
    new: bool = False

    @property
    def kind(self) -> Kind:
        """As `Plan.kind`."""
        return kind_of(self.way, self.merge, self.tile_count)


def settings_of(plan: Plan, graph: Graph, codec: str = 'uint8', hedge: bool = False) -> Decision:
    """
    Turn a plan into what a session does.

    :param graph: of the model; a skeleton without weights will do.
    :raises ParameterError: when a session cannot do it.
    """
    way = plan.way.removeprefix('streamed ')
    if way == 'local':
        return Decision('local', codec=codec, reason=plan.note)
    if way == 'offload':
        return Decision('offload', '', plan.tiles, codec, 0.0, hedge, plan.note)
    if way == 'divided':
        part.check(graph, _division(graph, plan.device_share, plan.halo))
        return Decision('divided', '', plan.tiles, codec, plan.device_share, hedge, plan.note,
                        halo_px=plan.halo)
    if not plan.exact:
        raise ParameterError(f'plan {way} of {plan.planner} is inexact; of those the nodes run '
                             'divided ones only')
    largest = LARGEST_MERGE * graph.tensors[graph.input].bytes
    if plan.merge not in {t.name for t in split.candidates(graph) if t.bytes <= largest}:
        raise ParameterError(f'plan of {plan.planner} crosses {plan.merge or "several tensors"}, '
                             'which nodes do not meet at')
    if way == 'meeting':
        return Decision('meeting', plan.merge, plan.tiles, codec, plan.device_share, hedge,
                        plan.note)
    share = 1.0 if way == 'cut' else plan.device_share
    return Decision('cut' if share == 1 else 'split', plan.merge, plan.tiles, codec, share, hedge,
                    plan.note)


def carried_out(decision: Decision, base: DeviceSettings, graph: Graph) -> DeviceSettings:
    """
    Give the settings of a session that does what was decided; the rival hedges as it does.

    :raises ParameterError: for a merge tensor that the model does not have, or when it cannot be
        divided so.
    """
    division = None
    if decision.way == 'divided':
        division = _division(graph, decision.device_share, decision.halo_px)
        part.check(graph, division)
    if decision.way in ('local', 'offload', 'divided'):
        chosen = split.offload(graph)
    else:
        share = {'cut': 1.0, 'meeting': 0.5}.get(decision.way, decision.device_share)
        chosen = split.at(graph, decision.merge, share)
        if decision.way == 'meeting' and chosen.merge == graph.input:  # a tensor of one row
            chosen = split.at(graph, decision.merge, 1.0)
    rival = carried_out(replace(decision.rival, hedge=decision.hedge), base, graph) \
        if decision.rival else None
    return replace(base, way=decision.way, tile_count=decision.tile_count, codec=decision.codec,
                   hedge=decision.hedge, split=chosen, division=division, rival=rival,
                   new=decision.new)


def _division(graph: Graph, share: float, halo: int) -> Division:
    return Division(round(share * graph.tensors[graph.input].rows), halo)


def allowed(decision: Decision, mode: str, model: str, max_map_drop: float) -> Decision:
    """
    Leave of a decision, which may have been made for another mode a second ago, what a mode by
    plan may do: what is lossy ends at once.
    """
    rival = decision.rival if mode in OURS else None
    codecs = budget.allowed_codecs(mode, max_map_drop)
    divides = decision.way == 'divided' and not budget.may_divide(
        mode, model, decision.halo_px, max_map_drop)
    return replace(
        decision, codec=decision.codec if decision.codec in codecs else codecs[0],
        way='offload' if divides else decision.way,
        rival=rival and allowed(rival, mode, model, max_map_drop))


def hedges(objective: Objective, shared: bool) -> bool:
    """
    Say whether a mode of ours hedges.

    :param shared: whether inference and messages have one core for both: there a hedge makes
        frames slower that the edge answers (design note, "One core for everything").
    """
    if objective.hedge is not None:
        return objective.hedge
    # It buys latency with energy, and with time in which the next frame could be computed.
    return objective.goal in ('latency', 'deadline') and not shared


def decide(mode: str, device: Profile, edge_speedup: float, link: Link | None,
           objective: Objective, max_map_drop: float = 0.0,
           shortlists: dict[str, list[Plan] | None] | None = None,
           factors: Factors = UNCORRECTED, pace: float = 1.0, at_once: bool = False) -> Decision:
    """
    Plan by a mode that is a planner's name, or 'auto'.

    :param edge_speedup: how many times as fast as the device the edge is, now: its profile is
        taken to be the device's, scaled (it need not travel; the edge's own times come with its
        acknowledgements).
    :param link: None while nothing is known of it: then the input is offered to the edge, which
        shows what the link can do.
    :param shortlists: what `frontier` keeps by codec from one decision to the next, as long as
        nothing but the link changes: its candidates take much longer to make than to compare. Each
        call makes those of one more codec, the one first that saves most bytes; None stands for
        those that are still to come.
    :param factors: how long frames of each way really took, for `frontier` (see `experience`).
    :param pace: how many times as long as its profile says the device takes now. Plans are made in
        the profile's time, in which link and deadline are that much faster, and so serve for any.
    :param at_once: choose among the shortlists that there are, if there are any: making one takes
        seconds on a robot that computes frames meanwhile.
    :raises ParameterError: for a mode that is no planner.
    """
    ours = mode in OURS
    hedge = ours and hedges(objective, device.message_compute > 0)
    if mode == 'local':
        return Decision('local')
    if link is None:
        return Decision('offload', hedge=hedge, reason='nothing known of the link yet')
    bandwidth, link = link.bandwidth, device.sending(link.faster(pace))
    objective = replace(objective, deadline=objective.deadline / pace,
                        energy_cap=objective.energy_cap / pace)
    edge = device.scaled(1 / edge_speedup)
    known = encodings(device, edge)
    name = 'frontier' if mode == 'auto' else mode
    # Whoever hedges sees what local inference takes in each frame.
    compares = objective.goal == 'latency' and not hedge
    found: list[tuple[float, Decision]] = []
    others: list[tuple[float, Decision]] = []

    def judged(plan: Plan, setup: Setup, codec: str, factor: Callable[[Kind], float]
               ) -> tuple[float, Decision]:
        frame, ratio = plan.run(link), factor(plan.kind)
        corrected = pace * frame.latency * ratio
        try:
            decision = _timed(settings_of(plan, setup.graph, codec, hedge), frame)
        except ParameterError as error:
            decision = _stand_in(setup, link, objective, codec, hedge, str(error))
        reason = (f'{name}: {plan.way}' + (f' at {plan.merge}' if plan.merge else '') +
                  f', {plan.tiles} tiles, {codec}: {corrected * 1e3:.1f} ms expected at '
                  f'{bandwidth / 1e6:.2f} MB/s, edge {edge_speedup:.1f} times as fast, device '
                  f'at {pace:.2f} of its profile, such frames at {ratio:.2f} of their plan')
        return corrected, replace(
            decision, seconds=pace * decision.seconds,
            device_seconds=pace * decision.device_seconds,
            edge_seconds=pace * decision.edge_seconds,
            reason='; '.join(filter(None, (reason, decision.reason))))
    codecs = budget.compared_codecs(budget.allowed_codecs(mode, max_map_drop),
                                    known if mode == 'auto' else None)
    if name == 'frontier' and shortlists is not None:
        for codec in codecs:
            shortlists.setdefault(codec)
        coming = [codec for codec in codecs if shortlists[codec] is None]
        late = coming if at_once and len(coming) < len(codecs) else coming[1:]
        codecs = [codec for codec in codecs if codec not in late]
    for codec in codecs:
        setup = Setup(device, edge, known.get(codec, known['uint8']))
        wanted = objective
        if mode == 'auto':
            left = max_map_drop - budget.CODEC_DROPS.get(codec, 0.0)
            wanted = replace(objective, halo=budget.halo_allowed(device.model, left))
        if name == 'frontier' and shortlists is not None:
            candidates = shortlists[codec] or frontier.shortlist(setup, wanted, link)
            shortlists[codec] = candidates
            plan = frontier.choose(setup, candidates, link, wanted, factors.of)
            other = compares and frontier.runner_up(candidates, link, plan, factors.hope)
            if other:
                others.append(judged(other, setup, codec, factors.hope))
        else:
            plan = planners.find(name).plan(setup, link, wanted)
        found.append(judged(plan, setup, codec, factors.of))
    best, decision = min(found, key=itemgetter(0))
    near = [item for item in (*found, *others) if item[0] <= RIVALRY * best
            and item[1].kind != decision.kind] if others else []
    if not near:
        return decision
    _, rival = min(near, key=itemgetter(0))
    return replace(decision, rival=replace(rival, new=not factors.know(rival.kind)))


def _timed(decision: Decision, frame: Timeline) -> Decision:
    """Add what the timeline makes of a frame."""
    arrived = max((span.done for span in frame.spans
                   if frame.tasks[span.task].resource == 'uplink'), default=0.0)
    return replace(decision, seconds=frame.latency, device_seconds=frame.busy('device'),
                   edge_seconds=frame.busy('edge', arrived))


def _stand_in(setup: Setup, link: Link, objective: Objective, codec: str, hedge: bool,
              why: str) -> Decision:
    """Give what is done instead of a plan that cannot be carried out."""
    try:
        cut = planners.find('neurosurgeon').plan(setup, link, objective)
        decision = _timed(settings_of(cut, setup.graph, codec, hedge), cut.run(link))
    except IntraDPError:
        decision = Decision('offload', tile_count=1, codec=codec, hedge=hedge)
    return replace(decision, reason=f'{why}; instead: {decision.way} {decision.merge}'.rstrip())
