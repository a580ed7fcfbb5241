"""
What to compute when rows arrive: pure planning, without a single number of the image.

A `State` says which rows of which tensor a frame holds. `feed`, `compute` and `take` lead from
one state to the next and give the steps to be done on the way. The same calls lead to the same
state in every frame, so a state remembers where each call led: from the second frame on there is
nothing to plan.

How rows are chosen. From the wanted rows backwards through the operators: what is wanted and not
held has to be computed, and that needs rows of the inputs (`_demand`). Then forwards: an operator
runs on those demanded rows whose inputs are held, if they are enough to be worth a call, or all
that is left (`_sweep`). Rows that nobody demands any more are freed after the last step that
reads them.
"""

from collections.abc import Callable, Mapping, Sequence

from intradp_ros.errors import ParameterError, TileError
from intradp_ros.model.graph import Graph
from intradp_ros.tiling.rows import Interval, Rows, intersect, subtract, union
from intradp_ros.tiling.state import Chunk, Piece, RowsOf, Run, State, Tensors, Trim


class Planner:
    """Leads from state to state; knows the graph and the least band height of each tensor."""

    def __init__(self, graph: Graph, least_rows: Sequence[int]):
        """Plan for a graph; `least_rows` has one entry for each operator."""
        self.graph = graph
        self.least_rows = least_rows
        self.states = 0

    def start(self, eager: RowsOf, kept: RowsOf, expected: RowsOf) -> State:
        """State of a frame that has nothing yet."""
        return State({}, eager, kept, expected, {})

    def feed(self, state: State, tensor: int, a: int, b: int) -> tuple:
        """
        Rows [a, b) of a tensor arrive.

        :returns: (pieces of the new rows that are stored: (a, b, slot), steps, slots freed, next
            state). Rows that are held already, or that nobody needs (any more), are not stored.
        """
        return self._remember(state, ('feed', tensor, a, b), self._feed)

    def compute(self, state: State, tensor: int, a: int, b: int) -> tuple:
        """
        Rows [a, b) of a tensor are asked for: plan just what they need.

        :returns: as `feed`, with nothing stored.
        :raises TileError: when rows that have to be fed first are missing.
        """
        return self._remember(state, ('compute', tensor, a, b), self._compute)

    def take(self, state: State, tensor: int, a: int, b: int) -> tuple:
        """
        Rows [a, b) of a tensor have been handed out: they are freed unless something needs them.
        """
        return self._remember(state, ('take', tensor, a, b), self._take)

    def expect(self, state: State, tensor: int, rows: Rows) -> tuple:
        """Change which rows of a tensor are expected to be fed."""
        return self._remember(state, ('expect', tensor, rows), self._expect)

    def want(self, state: State, tensor: int, a: int, b: int) -> tuple:
        """Add rows [a, b) of a tensor to those that are computed as soon as they can be."""
        return self._remember(state, ('want', tensor, a, b), self._want)

    def _remember(self, state: State, call: tuple, plan: Callable) -> tuple:
        found = state.after.get(call)
        if found is None:
            found = plan(state, *call[1:])
            self.states += 1
            state.after[call] = found
        return found

    def _feed(self, state: State, tensor: int, a: int, b: int) -> tuple:
        needed = self._demand(state, _merge(state.eager, state.kept, state.pinned))
        wanted = needed.get(tensor, ())
        if tensor == self.graph.input:
            # The image is small beside every inner tensor, and a change of plan may need it again.
            wanted = ((0, self.graph.tensors[tensor].rows),)
        new = subtract(intersect(((a, b),), wanted), _rows(state.held.get(tensor, ())))
        held, slots = dict(state.held), state.slots
        stored = []
        for p, q in new:
            stored.append((p, q, slots))
            held[tensor] = _insert(held.get(tensor, ()), Chunk(p, q, slots))
            slots += 1
        fed = State(
            held,
            state.eager,
            state.kept,
            {**state.expected, tensor: subtract(state.expected.get(tensor, ()), ((a, b),))},
            state.pinned,
            slots,
        )
        return self._sweep(fed, fed.eager, self.least_rows, tuple(stored))

    def _compute(self, state: State, tensor: int, a: int, b: int) -> tuple:
        asked: RowsOf = {tensor: ((a, b),)}
        # Who asks now does not wait for rows that may come one day.
        alone = State(
            state.held, state.eager, state.kept, {}, _merge(state.pinned, asked), state.slots
        )
        source = self.graph.input
        missing = subtract(
            self._demand(alone, asked).get(source, ()), _rows(state.held.get(source, ()))
        )
        if missing:
            raise TileError(
                f'rows [{a}, {b}) of {self.graph.tensors[tensor].name} need rows '
                f'{list(missing)} of the input, which have not been fed'
            )
        return self._sweep(alone, asked, [1] * len(self.least_rows), (), state.expected)

    def _take(self, state: State, tensor: int, a: int, b: int) -> tuple:
        gone = ((a, b),)

        def without(rows: RowsOf) -> RowsOf:
            return {**rows, tensor: subtract(rows.get(tensor, ()), gone)}

        taken = State(
            state.held,
            without(state.eager),
            without(state.kept),
            state.expected,
            without(state.pinned),
            state.slots,
        )
        return self._sweep(taken, {}, self.least_rows, ())

    def _expect(self, state: State, tensor: int, rows: Rows) -> tuple:
        changed = State(
            state.held,
            state.eager,
            state.kept,
            {**state.expected, tensor: rows},
            state.pinned,
            state.slots,
        )
        return self._sweep(changed, changed.eager, self.least_rows, ())

    def _want(self, state: State, tensor: int, a: int, b: int) -> tuple:
        more = {tensor: ((a, b),)}
        changed = State(
            state.held,
            _merge(state.eager, more),
            _merge(state.kept, more),
            state.expected,
            state.pinned,
            state.slots,
        )
        return self._sweep(changed, changed.eager, self.least_rows, ())

    def _demand(self, state: State, wanted: Mapping[int, Rows]) -> RowsOf:
        """
        Rows of each tensor that are needed for `wanted`, held or not.

        Nothing is needed for rows that are held or expected.
        """
        needed: dict[int, list[Interval]] = {t: list(rows) for t, rows in wanted.items() if rows}
        result: RowsOf = {}
        for operator in reversed(self.graph.operators):
            output = operator.output
            if output not in needed:
                continue
            rows = result[output] = union(needed.pop(output))
            rows = subtract(rows, _rows(state.held.get(output, ())))
            rows = subtract(rows, state.expected.get(output, ()))
            for a, b in rows:
                for i, need in zip(operator.inputs, operator.needs):
                    needed.setdefault(i, []).append(need.of(a, b))
        result.update((t, union(rows)) for t, rows in needed.items())
        return result

    def _sweep(
        self,
        state: State,
        wanted: RowsOf,
        least_rows: Sequence[int],
        stored: tuple,
        expected: RowsOf | None = None,
    ) -> tuple:
        """
        Run through the operators once, in order, and free what is not needed any more.

        `expected`, where given, replaces what the state expects, once the steps are chosen.
        """
        needed = self._demand(state, wanted)
        held, slots, steps = dict(state.held), state.slots, []
        for operator in self.graph.operators if wanted else ():
            rows = needed.get(operator.output)
            if not rows:
                continue
            output = operator.output
            todo = subtract(
                subtract(rows, _rows(held.get(output, ()))), state.expected.get(output, ())
            )
            for a, b in self._computable(operator, todo, held, least_rows[operator.id]):
                pieces = tuple(
                    _pieces(held.get(i, ()), *need.of(a, b))
                    for i, need in zip(operator.inputs, operator.needs)
                )
                borders = operator.borders(a, b) if operator.borders else (0, 0)
                steps.append(Run(operator.id, a, b, pieces, borders, slots))
                held[output] = _insert(held.get(output, ()), Chunk(a, b, slots))
                slots += 1
        after = State(
            held,
            state.eager,
            state.kept,
            state.expected if expected is None else expected,
            state.pinned,
            slots,
        )
        return self._release(after, stored, steps)

    def _computable(self, operator, todo: Rows, held: Tensors, least: int) -> Rows:
        """
        Rows of `todo` whose inputs are held, in runs of at least `least` rows or all that is left.
        """
        found: Rows = todo
        for i, need in zip(operator.inputs, operator.needs):
            if not found:
                return ()
            spans = [need.computable(p, q) for p, q in _rows(held.get(i, ()))]
            # Rows that need nothing of this input (borders only) are always computable.
            spans += [(r, r + 1) for r in need.without]
            found = intersect(found, union(spans))
        return tuple((a, b) for a, b in found if b - a >= least or (a, b) in todo)

    def _release(self, state: State, stored: tuple, steps: list[Run]) -> tuple:
        """Drop what nobody needs, each slot after the last step that reads it."""
        needed = self._demand(state, _merge(state.eager, state.kept, state.pinned))
        last_read: dict[int, int] = {}
        for number, step in enumerate(steps):
            last_read[step.slot] = number
            for pieces in step.inputs:
                for piece in pieces:
                    last_read[piece.slot] = number
        free: dict[int, list[int]] = {}
        trim: dict[int, list[Trim]] = {}
        held: Tensors = {}
        for tensor, chunks in state.held.items():
            if tensor == self.graph.input and needed:
                held[tensor] = chunks
                continue
            rows, left = needed.get(tensor, ()), []
            for chunk in chunks:
                keep = intersect(((chunk.a, chunk.b),), rows)
                number = last_read.get(chunk.slot, -1)
                if not keep:
                    free.setdefault(number, []).append(chunk.slot)
                    continue
                a, b = keep[0][0], keep[-1][1]
                if 2 * (b - a) <= chunk.b - chunk.a:
                    # A view would keep all of the chunk in memory for a few rows of halo.
                    trim.setdefault(number, []).append(
                        Trim(chunk.slot, tensor, a - chunk.a, b - chunk.a)
                    )
                    chunk = Chunk(a, b, chunk.slot)
                left.append(chunk)
            if left:
                held[tensor] = tuple(left)
        steps = [
            Run(
                s.operator,
                s.a,
                s.b,
                s.inputs,
                s.borders,
                s.slot,
                tuple(free.get(n, ())),
                tuple(trim.get(n, ())),
            )
            if n in free or n in trim
            else s
            for n, s in enumerate(steps)
        ]
        now = State(held, state.eager, state.kept, state.expected, state.pinned, state.slots)
        return stored, tuple(steps), (tuple(free.get(-1, ())), tuple(trim.get(-1, ()))), now


def _rows(chunks: Sequence[Chunk]) -> Rows:
    return union((c.a, c.b) for c in chunks)


def _insert(chunks: tuple[Chunk, ...], chunk: Chunk) -> tuple[Chunk, ...]:
    return tuple(sorted((*chunks, chunk), key=lambda c: c.a))


def _merge(*sets: Mapping[int, Rows]) -> RowsOf:
    merged: dict[int, list[Interval]] = {}
    for rows_of in sets:
        for tensor, rows in rows_of.items():
            merged.setdefault(tensor, []).extend(rows)
    return {tensor: union(rows) for tensor, rows in merged.items()}


def _pieces(chunks: Sequence[Chunk], a: int, b: int) -> tuple[Piece, ...]:
    """Pieces of chunks that make up rows [a, b)."""
    found = []
    for chunk in chunks:
        p, q = max(a, chunk.a), min(b, chunk.b)
        if p < q:
            found.append(
                Piece(chunk.slot, p - chunk.a, q - chunk.a, p == chunk.a and q == chunk.b)
            )
    return tuple(found)


def check_rows(graph: Graph, tensor: int, a: int, b: int) -> None:
    """
    Refuse rows that a tensor does not have.

    :raises ParameterError: when [a, b) is empty or does not lie in the tensor.
    """
    rows = graph.tensors[tensor].rows
    if not 0 <= a < b <= rows:
        raise ParameterError(
            f'rows [{a}, {b}) do not lie in {graph.tensors[tensor].name} (rows [0, {rows}))'
        )
