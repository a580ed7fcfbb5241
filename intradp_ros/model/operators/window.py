"""Geometry that convolution and pooling share: a window slides over rows and their border."""

from dataclasses import dataclass

from torch import Tensor as T

from intradp_ros.model.graph import Need


@dataclass(frozen=True)
class Window:
    """
    Output row r reads `size` rows (kernel with its dilation) from row r * stride - before on.

    What lies outside [0, input_rows) is border. `rows` is the number of output rows. `symmetric`:
    as much border below as above, which torch's own padding can do. `exact`: a band must come out
    with exactly its rows.
    """

    rows: int
    input_rows: int
    size: int
    stride: int
    before: int
    symmetric: bool = True
    exact: bool = False

    @property
    def need(self) -> Need:
        """Real input rows of each output row."""
        return Need.windows(self.rows, self.input_rows, self.size, self.stride, self.before)

    def _explicit(self, a: int, b: int) -> tuple[int, int, int]:
        start = a * self.stride - self.before
        total = (b - a - 1) * self.stride + self.size
        low, high = (min(max(r, 0), self.input_rows) for r in (start, start + total))
        top = min(max(-start, 0), total)
        return top, total - top - (high - low), high - low

    def native(self, a: int, b: int) -> bool:
        """
        Whether torch's own padding gives band [a, b), perhaps with rows too many for `cut`.

        It saves a copy of the band, and costs at most `before` rows of output. At the top this is
        always so; at the bottom only when rows do not fall between the steps of the stride.
        """
        if not self.symmetric or a == 0 and b == self.rows:
            return self.symmetric
        if self.exact:
            return False
        top, bottom, real = self._explicit(a, b)
        upper = a == 0 and bottom == 0 < top
        lower = b == self.rows and top == 0 < bottom and self.stride == 1
        return real > 0 and (upper or lower)

    def cut(self, out: T, a: int, b: int) -> T:
        """Rows [a, b) of what torch's own padding made of the band's input."""
        if out.shape[2] == b - a:
            return out
        return out.narrow(2, 0 if a == 0 else self.before, b - a)

    def borders(self, a: int, b: int) -> tuple[int, int]:
        """Border rows to put above and below the real rows of band [a, b): torch does not."""
        return (0, 0) if self.native(a, b) else self._explicit(a, b)[:2]
