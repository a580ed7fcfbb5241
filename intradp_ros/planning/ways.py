"""
The ways to run a frame (design note: "What can be split, and what it costs"), as plans.

Planners choose among these; each function makes the tasks of one way. With one tile a streamed way
is the sequential one.
"""

from collections.abc import Collection, Sequence
from math import ceil

from intradp_ros.planning import bands
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Plan, Setup
from intradp_ros.planning.profile import Profile
from intradp_ros.planning.timeline import Task
from intradp_ros.tiling.rows import boundaries, boundaries_around

# Bands of the merge tensor overtake raw rows, and both overtake a hedge.
ENCODE, MERGE, RAW, HEDGE = -1, 0, 1, 9


def fixed(tasks: Sequence[Task], ends: Sequence[int]):
    """Make the script of a plan that does the same on every link."""
    def script(link: Link) -> tuple[Sequence[Task], Sequence[int]]:
        return tasks, ends
    return script


def local(setup: Setup, planner: str = 'local') -> Plan:
    """The whole model on the device."""
    device = setup.device
    tasks = [Task('device', device.before, label='preprocess'),
             Task('device', device.total, after=(0,), label='model'),
             Task('device', device.after, after=(1,), label='postprocess')]
    return Plan(planner, 'local', fixed(tasks, (2,)), device_share=1.0)


def sequential(setup: Setup, head: Collection[int], planner: str,
               send_outputs: bool = False) -> Plan:
    """
    Cut anywhere: operators in `head` on the device, what crosses is sent, the rest on the edge.

    :param head: ids of operators, closed under "comes before"; with none of them this is offload,
        with all of them local inference.
    :param send_outputs: with all of them, let the edge postprocess the model's outputs instead.
    """
    graph = setup.graph
    rest = [o.id for o in graph.operators if o.id not in head]
    if not rest and not send_outputs:
        return local(setup, planner)
    crossing = crossing_tensors(setup, head)
    tasks = [Task('device', setup.device.before, label='preprocess')]
    if head:
        tasks.append(Task('device', setup.device.of(sorted(head)), after=(0,), label='head'))
    if graph.input in crossing and setup.encoding.encode:
        tasks.append(Task('device', setup.encoding.encode * setup.input_elements,
                          after=(len(tasks) - 1,), label='encode'))
    ready = len(tasks) - 1
    sends = []
    for tensor in crossing:
        sends.append(len(tasks))
        tasks.append(Task('uplink', size=setup.tensor_bytes(tensor), after=(ready,),
                          label=graph.tensors[tensor].name))
    decode = setup.encoding.decode * setup.input_elements if graph.input in crossing else 0.0
    tasks.append(Task('edge', decode + setup.edge.of(rest), after=tuple(sends), label='rest'))
    ends = answer(setup, tasks, (len(tasks) - 1,))
    merge = ' + '.join(graph.tensors[t].name for t in crossing)
    return Plan(planner, 'cut' if head else 'offload', fixed(tasks, ends), merge,
                device_share=float(bool(head)))


def crossing_tensors(setup: Setup, head: Collection[int]) -> list[int]:
    """
    Tensors that `head` (or the camera) makes and the edge needs for an operator outside or, being
    outputs of the model, for postprocessing, in order.
    """
    graph = setup.graph
    made = {graph.input} | {o.output for o in graph.operators if o.id in head}
    wanted = {i for o in graph.operators if o.id not in head for i in o.inputs}
    return sorted(made & (wanted | set(graph.outputs)))


def streamed(setup: Setup, merge: int, tiles: int, planner: str, hedge: bool = False) -> Plan:
    """
    Cut at one tensor, band by band: each band leaves when it is ready, and the edge begins with
    the first. `merge` is the input for streamed offload.
    """
    graph = setup.graph
    tensor = graph.tensors[merge]
    ends = boundaries(tensor.rows, tiles)
    is_input = merge == graph.input
    shares = [(b - a) / tensor.rows for a, b in zip(ends, ends[1:])]
    if is_input:
        device = [setup.encoding.encode * setup.input_elements * share for share in shares]
    else:
        device = bands.computed(setup.device, merge, ends)
    edge = bands.resumed(setup.edge, merge, ends)
    tasks = [Task('device', setup.device.before, label='preprocess')]
    feeds: list[int] = []
    for number, share in enumerate(shares):
        tasks.append(Task('device', device[number], after=(0,), priority=MERGE,
                          label=f'band {number}'))
        tasks.append(Task('uplink', size=setup.tensor_bytes(merge) * share,
                          after=(len(tasks) - 1,), label=f'band {number}'))
        decode = setup.encoding.decode * setup.input_elements * share if is_input else 0.0
        # In the order of arrival, as the edge's engine takes them.
        after = (len(tasks) - 1, *feeds[-1:])
        feeds.append(len(tasks))
        tasks.append(Task('edge', decode + edge[number], after=after, label=f'band {number}'))
    finish = answer(setup, tasks, (feeds[-1],))
    if hedge:
        finish += _hedge(setup, tasks, _after(setup, merge), len(shares))
    way = 'offload' if is_input else 'cut'
    return Plan(planner, f'streamed {way}' if len(shares) > 1 else way, fixed(tasks, finish),
                tensor.name, len(shares), float(not is_input))


def meeting(setup: Setup, merge: int, tiles: int, planner: str, hedge: bool = False) -> Plan:
    """
    Meet in the middle of a tensor: bands of it from the top by the device, raw rows from the
    bottom, of which the edge computes the other bands. Where they meet is found on the way, from
    what the real link has carried: `meet`.
    """
    tensor = setup.graph.tensors[merge]
    ends = boundaries(tensor.rows, tiles)
    return Plan(planner, 'meeting', _joined(setup, merge, ends, None, hedge), tensor.name,
                len(ends) - 1, 0.5)


def split(setup: Setup, merge: int, share: float, tiles: int, planner: str,
          hedge: bool = False) -> Plan:
    """
    Split a tensor at a place that is fixed: the device computes `share` of its rows from the top,
    the edge the others from raw rows; both in bands, about `tiles` in all.
    """
    tensor = setup.graph.tensors[merge]
    rows = min(max(round(share * tensor.rows), 1), tensor.rows - 1)
    ends = boundaries_around(tensor.rows, rows, tiles)
    return Plan(planner, 'split', _joined(setup, merge, ends, ends.index(rows), hedge),
                tensor.name, len(ends) - 1, rows / tensor.rows)


def _joined(setup: Setup, merge: int, ends: Sequence[int], own: int | None, hedge: bool):
    """
    Make the script of a frame whose upper bands come from the device, the lower ones as raw rows.

    :param own: how many bands are the device's; None for as many as it gets to.
    """
    graph = setup.graph
    tensor, source = graph.tensors[merge], graph.tensors[graph.input]
    count = len(ends) - 1
    head = graph.ancestors([merge])
    # Raw rows from begins[k] on are what bands k, k + 1, ... need.
    begins = [bands.needed_begins(graph, head, merge, a)[graph.input] for a in ends[:-1]]
    parts = [max(0, b - a) / source.rows for a, b in zip(begins, [*begins[1:], source.rows])]
    device = bands.computed(setup.device, merge, ends)
    sizes = [setup.tensor_bytes(merge) * (b - a) / tensor.rows for a, b in zip(ends, ends[1:])]
    raw_sizes = [setup.input_bytes * part for part in parts]
    encode = [setup.encoding.encode * setup.input_elements * part for part in parts]
    decode = [setup.encoding.decode * setup.input_elements * part for part in parts]
    below = bands.computed(setup.edge, merge, ends[::-1], from_below=True)[::-1]
    down = bands.resumed(setup.edge, merge, ends, complete=False)
    up = bands.resumed(setup.edge, merge, ends[::-1], from_below=True, complete=False)[::-1]
    rest = bands.left_between(setup.edge, merge, ends)
    # What a local result costs the device for bands that it has not computed.
    missing = bands.computed(setup.device, merge, ends[::-1], from_below=True)[::-1]

    def script(link: Link) -> tuple[Sequence[Task], Sequence[int]]:
        met = meet(setup.device.before, device, sizes, raw_sizes, link) if own is None else own
        tasks = [Task('device', setup.device.before, label='preprocess')]
        feeds: list[int] = []
        for k in range(met):
            tasks.append(Task('device', device[k], after=(0,), priority=MERGE,
                              label=f'band {k}'))
            tasks.append(Task('uplink', size=sizes[k], after=(len(tasks) - 1,), priority=MERGE,
                              label=f'band {k}'))
            tasks.append(Task('edge', down[k], after=(len(tasks) - 1, *feeds[-1:]),
                              label=f'band {k}'))
            feeds.append(len(tasks) - 1)
        previous: tuple[int, ...] = ()
        sends: list[int] = []
        for k in reversed(range(met, count)):
            ready = 0
            if encode[k]:
                # One band ahead of the link: the device has better things to do.
                ready = len(tasks)
                tasks.append(Task('device', encode[k], after=(0, *sends[-2:-1]),
                                  priority=ENCODE, label=f'encode {k}'))
            sends.append(len(tasks))
            tasks.append(Task('uplink', size=raw_sizes[k], after=(ready,), priority=RAW,
                              label=f'raw {k}'))
            tasks.append(Task('edge', decode[k] + below[k] + up[k],
                              after=(len(tasks) - 1, *previous), label=f'raw {k}'))
            previous = (len(tasks) - 1,)
            feeds.append(len(tasks) - 1)
        tasks.append(Task('edge', rest[met], after=tuple(feeds), label='rest'))
        finish = answer(setup, tasks, (len(tasks) - 1,))
        if hedge:
            finish += _hedge(setup, tasks, sum(missing[met:]) + _after(setup, merge), count)
        return tasks, finish

    return script


def meet(begin: float, device: Sequence[float], sizes: Sequence[float],
         raw_sizes: Sequence[float], link: Link) -> int:
    """
    Find how many bands the device ends up with when device and link each take what is next.

    The device takes bands from the top. The link sends what the device has made, and else the
    lowest raw band, unless the device could make and send all that is left before that band would
    have left. No bandwidth is predicted but that one band's.

    :param device: seconds of each band on the device; `sizes` and `raw_sizes`: its bytes either
        way.
    """
    top, bottom, sent = 0, len(device), 0
    made: list[float] = []  # when each of the device's bands is there
    busy = now = begin  # until when the device, and the link, are busy
    handed = begin  # until when messages are handed over
    while sent < bottom:
        if top < bottom and busy <= now:
            busy += device[top]
            made.append(busy)
            top += 1
        elif sent < top and made[sent] <= now:
            handed = max(handed, made[sent])
            now = link.arrival(now, sizes[sent], handed=handed)
            handed += link.handing(sizes[sent])
            sent += 1
        elif top < bottom:
            raw = link.arrival(now, raw_sizes[bottom - 1], handed=handed)
            alone = link.arrival(busy + sum(device[top:bottom]), sizes[bottom - 1])
            if alone <= raw:
                return bottom
            handed += link.handing(raw_sizes[bottom - 1])
            now, bottom = raw, bottom - 1
        else:
            now = made[sent]
        if now == float('inf'):
            return bottom
    return bottom


def divided(setup: Setup, share: float, halo: int, tiles: int, planner: str) -> Plan:
    """
    Divide the image: the device takes the upper `share` through the whole network, the edge the
    rest, each with `halo` more rows of the input (and what corresponds to them). Each makes the
    detections of its part, and the device joins them (`tiling.part`). Inexact where the halo is
    less than the receptive field. Operators that need all rows see one part of them; the nodes
    refuse such models.
    """
    graph = setup.graph
    height = graph.tensors[graph.input].rows
    overlap = halo / height
    upper, lower = min(1.0, share + overlap), min(1.0, 1 - share + overlap)

    def seconds(profile: Profile, part: float) -> float:
        return sum(profile.seconds[o.id](ceil(part * graph.tensors[o.output].rows - 1e-6))
                   for o in graph.operators)

    elements = setup.input_elements * lower
    mine = seconds(setup.device, upper)
    theirs = seconds(setup.edge, lower)
    tasks = [Task('device', setup.device.before, label='preprocess')]
    feeds: list[int] = []
    for band in range(tiles):
        ready = 0
        if setup.encoding.encode:
            ready = len(tasks)
            tasks.append(Task('device', setup.encoding.encode * elements / tiles, after=(0,),
                              priority=ENCODE, label=f'encode {band}'))
        tasks.append(Task('uplink', size=setup.input_bytes * lower / tiles, after=(ready,),
                          label=f'raw {band}'))
        tasks.append(Task('edge', setup.encoding.decode * elements / tiles + theirs / tiles,
                          after=(len(tasks) - 1, *feeds[-1:]), label=f'raw {band}'))
        feeds.append(len(tasks) - 1)
    tasks.append(Task('device', mine, after=(0,), label='band 0'))
    tasks.append(Task('device', setup.device.after, after=(len(tasks) - 1,), label='postprocess'))
    own = len(tasks) - 1
    back = answer(setup, tasks, (feeds[-1],))
    tasks.append(Task('device', 0.0, after=(own, *back), label='join'))
    return Plan(planner, 'divided', fixed(tasks, (len(tasks) - 1,)),
                graph.tensors[graph.input].name, tiles, share, exact=False,
                note=f'halo of {halo} rows', halo=halo)


def answer(setup: Setup, tasks: list[Task], after: tuple[int, ...]) -> tuple[int, ...]:
    """Add postprocessing on the edge and the way back; give the tasks that end the frame."""
    tasks.append(Task('edge', setup.edge.after, after=after, label='postprocess'))
    tasks.append(Task('downlink', size=setup.device.result_bytes, after=(len(tasks) - 1,),
                      label='detections'))
    return (len(tasks) - 1,)


def _after(setup: Setup, merge: int) -> float:
    """Seconds on the device of all operators that a tensor does not need."""
    device = setup.device
    return device.total - device.of([o.id for o in setup.graph.ancestors([merge])])


def _hedge(setup: Setup, tasks: list[Task], left: float, pieces: int) -> tuple[int, ...]:
    """
    Let the device go on to a local result while it has nothing better to do, in small pieces.

    :param left: seconds of the model that are left when the device has done its bands.
    """
    left += setup.device.after
    previous = (0,)
    for number in range(pieces):
        tasks.append(Task('device', left / pieces, after=previous, priority=HEDGE,
                          label=f'hedge {number}'))
        previous = (len(tasks) - 1,)
    return previous
