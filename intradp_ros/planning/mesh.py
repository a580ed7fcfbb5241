"""
A model as tiles with dependencies: row bands of some tensors that everything passes through.

A tile is one band of one merge tensor, computed from bands of the merge tensor before it. What its
operators need inside the group is recomputed when the side that computes it did not compute the
band above, so tiles may be computed in any order and on either side, exactly.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from intradp_ros.model.graph import Tensor
from intradp_ros.planning import bands
from intradp_ros.planning.plan import Setup
from intradp_ros.planning.profile import Profile
from intradp_ros.tiling.rows import boundaries


@dataclass(frozen=True)
class Tile:
    """
    One band of a merge tensor, of the input (`needs` is then empty), or of what follows the last.

    `needs` are numbers of tiles. The edge takes edge[0] seconds for it after the band above (the
    tile numbered before this one), edge[1] without; the device device[0] after the band below,
    device[1] without. `size` is in bytes; 0 for what follows the last merge tensor: it is never
    sent.
    """

    tensor: str
    band: int
    needs: tuple[int, ...]
    size: float
    device: tuple[float, float]
    edge: tuple[float, float]


def tiles(setup: Setup, band_count: int = 16, most: int = 300) -> list[Tile]:
    """Cut a model into at most about `most` tiles, in the order of the model, input first."""
    graph = setup.graph
    source = graph.tensors[graph.input]
    ends = boundaries(source.rows, band_count)
    found = [Tile(source.name, n, (), setup.input_bytes * (b - a) / source.rows, (0.0, 0.0),
                  (setup.encoding.decode * setup.input_elements * (b - a) / source.rows,) * 2)
             for n, (a, b) in enumerate(zip(ends, ends[1:]))]
    previous, first = source, 0
    for tensor in targets(setup.device, max(1, most // band_count - 2)):
        begin = len(found)
        found += _group(setup, previous, ends, first, tensor,
                        boundaries(tensor.rows, band_count))
        ends = boundaries(tensor.rows, band_count)
        previous, first = tensor, begin
    device = bands.resumed(setup.device, previous.id, ends)
    edge = bands.resumed(setup.edge, previous.id, ends)
    for n, (d, e) in enumerate(zip(device, edge)):
        needs = (first + n, len(found) - 1) if n else (first,)
        found.append(Tile('outputs', n, needs, 0.0, (d, d), (e, e)))
    return found


def targets(profile: Profile, count: int) -> list[Tensor]:
    """Choose merge tensors that cut the model into parts of about equal time on the device."""
    graph = profile.graph
    candidates = [t for t in graph.merge_candidates() if t.id != graph.input]
    if len(candidates) <= count:
        return candidates
    made_by = {o.output: o.id for o in graph.operators}
    done, clock = [], 0.0
    for seconds in profile.whole:
        clock += seconds
        done.append(clock)
    times = [done[made_by[t.id]] for t in candidates]
    chosen = {min(bisect_left(times, clock * (n + 1) / count), len(times) - 1)
              for n in range(count)}
    return [candidates[n] for n in sorted(chosen)]


def _group(setup: Setup, source: Tensor, source_ends: list[int], first: int, target: Tensor,
           ends: list[int]) -> list[Tile]:
    graph = setup.graph
    operators = graph.ancestors([target.id], stop=[source.id])
    spans = list(zip(ends, ends[1:]))
    lows = [bands.needed_begins(graph, operators, target.id, a) for a, _ in spans]
    highs = [bands.needed_ends(graph, operators, target.id, b) for _, b in spans]
    nothing, everything = [0] * len(graph.tensors), [t.rows for t in graph.tensors]

    def seconds(profile: Profile, low: list[int], high: list[int]) -> float:
        return sum(profile.band(o, high[o.output] - low[o.output]) for o in operators)

    found = []
    for n, (a, b) in enumerate(spans):
        above, below = [nothing, *highs][n], [*lows, everything][n + 1]
        needs = _covering(source_ends, lows[n][source.id], highs[n][source.id])
        found.append(Tile(
            target.name, n, tuple(first + m for m in needs),
            setup.tensor_bytes(target.id) * (b - a) / target.rows,
            (seconds(setup.device, lows[n], below), seconds(setup.device, lows[n], highs[n])),
            (seconds(setup.edge, above, highs[n]), seconds(setup.edge, lows[n], highs[n]))))
    return found


def _covering(ends: list[int], low: int, high: int) -> range:
    """Numbers of the bands that rows [low, high) lie in."""
    if low >= high:
        return range(0)
    return range(bisect_right(ends, low) - 1, bisect_left(ends, high))


def readers(of: list[Tile]) -> list[list[int]]:
    """Tiles that need each tile."""
    found: list[list[int]] = [[] for _ in of]
    for number, tile in enumerate(of):
        for need in tile.needs:
            found[need].append(number)
    return found
