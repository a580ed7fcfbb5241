"""
Geometry that convolution and pooling share: a window slides over rows, with a border around them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from intradp_ros.model.graph import Need


@dataclass(frozen=True)
class Window:
    """
    Output row r reads `size` rows (kernel with its dilation) from row r * stride - before on.

    What lies outside [0, input_rows) is border. `rows` is the number of output rows.
    """

    rows: int
    input_rows: int
    size: int
    stride: int
    before: int

    @property
    def need(self) -> Need:
        """Real input rows of each output row."""
        return Need.windows(self.rows, self.input_rows, self.size, self.stride, self.before)

    def borders(self) -> Callable[[int, int], tuple[int, int]]:
        """
        Border rows to put above and below the real rows of band [a, b).

        None for the whole: there torch's own padding does it, without a copy.
        """

        def borders(a: int, b: int) -> tuple[int, int]:
            if a == 0 and b == self.rows:
                return 0, 0
            start = a * self.stride - self.before
            total = (b - a - 1) * self.stride + self.size
            real = min(max(start + total, 0), self.input_rows) - min(
                max(start, 0), self.input_rows
            )
            top = min(max(-start, 0), total)
            return top, total - top - real

        return borders
