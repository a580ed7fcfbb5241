"""The methods that are compared, as parameters of the nodes."""

from dataclasses import dataclass, field
from math import ceil

# Frames before those that count (or so many seconds of them, but at least a few) at first, and
# when a method's turn comes again. Who decides by itself needs more to see what is best; what that
# costs is shown by the replay.
WARMUP, WARMUP_SECONDS, LEAST_WARMUP = 10, 5.0, 2
SETTLING, SETTLING_SECONDS, LEAST_SETTLING = 60, 12.0, 10
WARMUP_AGAIN, SETTLING_AGAIN = 3, 12
# Plans are made once a second, beside the frames: in less than this nobody has decided anything.
LEAST_SETTLING_SECONDS = 2.0


@dataclass(frozen=True)
class Method:
    """
    `parameters` are set on the device node; what it does not know it refuses, and the report says
    so. `topology` and `servers` are those of testbed.system.System. `lossless`: its detections
    are the whole model's on the camera's image. `adaptive`: it decides by itself how frames are
    run; the others do the same on every link.
    """

    text: str
    parameters: dict[str, object] = field(default_factory=dict)
    topology: str = 'split'
    servers: bool = False
    lossless: bool = True
    adaptive: bool = False

    @property
    def remote(self) -> bool:
        """Whether the whole node is on the edge: then only the robot's clock shows latency."""
        return self.topology == 'remote'

    def warmup(self, each: float) -> int:
        """Give the frames before those that count; a frame takes about so many seconds."""
        return warmup(self.adaptive, each)

    def warmup_again(self, each: float) -> int:
        """Give those when others have had their turn in between."""
        first = self.warmup(each)
        again = max(min(WARMUP_AGAIN, first // 2), first * SETTLING_AGAIN // SETTLING)
        return max(again, _until_planned(each)) if self.adaptive else again


def warmup(adaptive: bool, each: float = 0.0) -> int:
    """Say how many frames of a method come before those that count."""
    if not adaptive:
        return within(WARMUP, WARMUP_SECONDS, LEAST_WARMUP, each)
    return max(within(SETTLING, SETTLING_SECONDS, LEAST_SETTLING, each), _until_planned(each))


def _until_planned(each: float) -> int:
    """Give the frames of so many seconds in which who decides has done it."""
    return ceil(LEAST_SETTLING_SECONDS / each) if each > 0 else 0


def within(frames: int, seconds: float, least: int, each: float) -> int:
    """Give so many frames, or fewer where they would take longer than so, but at least some."""
    return frames if frames * each <= seconds else max(least, ceil(seconds / each))


def _planner(name: str, text: str) -> Method:
    return Method(text, {'mode': name, 'codec': 'uint8'}, adaptive=True)


def _halves(halo: int) -> Method:
    return Method(f'half of the image on each side, which see {halo} rows of the other',
                  {'mode': 'divided', 'device_share': 0.5, 'halo_px': halo, 'codec': 'uint8'},
                  lossless=False)


METHODS = {
    'local': Method('whole model on the robot', {'mode': 'local'}),
    'offload': Method('uint8 input to the edge, band by band',
                      {'mode': 'offload', 'codec': 'uint8'}),
    'jpeg_offload': Method('JPEG bands (quality 90) to the edge',
                           {'mode': 'offload', 'codec': 'jpeg'}, lossless=False),
    'compressed_topic': Method('image_transport: CompressedImage topic (quality 95), whole node '
                               'on the edge', topology='remote', lossless=False),
    'split': Method('upper half of the natural bottleneck on the robot, rest raw',
                    {'mode': 'split', 'codec': 'uint8'}),
    'neurosurgeon': _planner('neurosurgeon', 'best cut after a layer (Kang 2017)'),
    'cic': _planner('cic', 'minimum cut, compressed (DADS, CIC 2022)'),
    'dynamic_split': _planner('dynamic_split', 'natural bottlenecks (Bakhtiarnia 2022)'),
    'intra_dp': _planner('intra_dp', 'shares of rows per operator (Intra-DP 2025), exact'),
    'coacto': _planner('coacto', 'tiles, earliest finish (CoActo 2024)'),
    'frontier': _planner('frontier', 'this package, exact'),
    'auto': Method('this package, accuracy budget 0.01 mAP',
                   {'mode': 'auto', 'max_map_drop': 0.01}, lossless=False, adaptive=True),
    'halo_16': _halves(16),
    'halo_32': _halves(32),
}
# Measured where they are asked for: what they find is worth little.
LIMITED_HALO = ('halo_16', 'halo_32')
# Without a frontier of its own: what p50(frontier) has to be at least as good as.
OURS = ('frontier', 'auto')
EXACT_RIVALS = tuple(name for name, method in METHODS.items()
                     if method.lossless and name not in OURS)
