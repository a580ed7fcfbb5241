"""The device's part of a divided image: what it computes and what the edge has to see."""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from intradp_ros.model.detector import Detections, Detector, Geometry
from intradp_ros.runtime.frontier import Layout, raw_rows
from intradp_ros.runtime.local import finish, stages
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.part import Division, Part, spans

# Parts of the model that are kept ready, the last ones used.
PARTS = 4


class DevicePart:
    """Keeps the upper parts of a model ready, one for each division."""

    def __init__(self, detector: Detector, engine: Engine):
        self._detector, self._engine = detector, engine
        self._part = lru_cache(PARTS)(self._make)
        self._lower_spans = lru_cache(PARTS)(partial(spans, detector.graph, lower=True))

    def rows_for_edge(self, division: Division, tile_count: int) -> Layout:
        """Give the rows of the input that the edge's part sees, in tiles."""
        graph = self._detector.graph
        begin, _ = self._lower_spans(division)[graph.input]
        return raw_rows(graph, begin, tile_count)

    def compute(self, division: Division, pixels: np.ndarray, geometry: Geometry,
                ended: Callable[[], bool]) -> Detections | None:
        """
        Compute the part to its end.

        :param pixels: [rows, columns, 3] uint8, of the whole model input.
        :param ended: asked between two steps.
        :returns: its detections; None when it ended before.
        """
        part, steps = self._part(division)
        frame = part.engine.start(outputs=())
        part.feed(frame, 0, len(pixels), pixels)
        for _ in finish(frame, None, steps):
            if ended():
                return None
        return self._detector.postprocess_part(part.outputs(frame), geometry)

    def _make(self, division: Division) -> tuple[Part, tuple[int, ...]]:
        """Make a part, and give the tensors that it is computed by."""
        part = Part(self._engine, division, lower=False)
        return part, stages(part.graph, part.graph.input)
