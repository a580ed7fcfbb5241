"""Parameters of the device node: those of every frame, and those of a start."""

from intradp_ros.nodes import models
from intradp_ros.nodes.image_subscription import TOPICS
from intradp_ros.nodes.parameters import Parameter
from intradp_ros.nodes.profiles import PROFILE
from intradp_ros.planning.plan import GOALS
from intradp_ros.runtime import modes
from intradp_ros.runtime.settings import DeviceSettings
from intradp_ros.tiling.codec import CODECS

_DEFAULTS = DeviceSettings()
PIXEL_CODECS = tuple(name for name, codec in CODECS.items() if name != 'float32')

LIVE = (
    Parameter('mode', 'frontier', 'Who decides how frames are done. By plan: "frontier" (exact, '
              'from the link as it is), "auto" (the same with the codec and the halo that '
              'max_map_drop allows) or any other planner of `intradp plan`. By hand: "local" '
              '(whole model here), "offload" (input to the edge, band by band), "split" (upper '
              'rows of the merge tensor from here, the rest as raw rows), "divided" (inexact: '
              'either side computes its part of the image to the end, with a halo of halo_px '
              'rows)',
              choices=modes.NAMES, live=True),
    Parameter('way', '', 'How modes by plan do frames: set by the parameter server together with '
              'merge, device_share, halo_px, tile_count and codec; empty: the device plans by '
              'itself',
              choices=('', *modes.WAYS), live=True),
    Parameter('merge', '', 'Ways split, cut and meeting: dotted name of the tensor at which '
              "device and edge meet (`intradp models NAME` lists them); empty: the model's "
              'natural bottleneck', live=True),
    Parameter('device_share', 0.5, "Way split: share of the merge tensor's rows that the device "
              'computes; way divided: of the image', low=0.0, high=1.0, live=True),
    Parameter('halo_px', 128, 'Way divided: rows of the model input that either side sees beyond '
              'its part; where the model looks further, detections beside the cut are inexact',
              'pixels', 0, 8192, live=True),
    Parameter('hedge', 'auto', 'Whether the device goes on to a result of its own while the edge '
              'works, the first one counts; "auto": in modes auto and frontier, unless the '
              'objective is energy or throughput, or there is but one core for that and for '
              'messages',
              choices=tuple(modes.HEDGES), live=True),
    Parameter('objective', 'latency', 'What plans should be good at; deadline: least energy '
              'within deadline_ms', choices=GOALS, live=True),
    Parameter('max_map_drop', 0.0, 'Loss of mAP that mode auto may pay for speed (a lossy codec, '
              'a limited halo); 0: exact detections only', low=0.0, high=1.0, live=True),
    Parameter('edge_speedup', 10.0, 'How many times as fast as this machine the edge is taken to '
              'be until it has answered a frame', low=0.01, high=10000.0, live=True),
    Parameter('tile_count', _DEFAULTS.tile_count, 'Tiles that a frame is cut into; the parameter '
              'server tunes it', low=1, high=256, live=True),
    Parameter('codec', _DEFAULTS.codec, 'Codec of input rows; lossy are "jpeg" (quality 90, '
              'colour of half the resolution) and "jpeg_444" (quality 60, whole colour: half the '
              'bytes and, for the demo detector, a fifth of the loss)',
              choices=PIXEL_CODECS, live=True),
    Parameter('deadline_ms', _DEFAULTS.deadline_ms, 'Time from the arrival of an image in which '
              'its detections are wanted; the device answers itself when the edge has not', 'ms',
              1.0, 60000.0, live=True),
    Parameter('window_bytes', _DEFAULTS.window_bytes, 'Most bytes of tiles on their way (sent and '
              'not acknowledged); 0: about twice what the link holds, as measured', 'bytes',
              0, 2**30, live=True),
    Parameter('message_bytes', _DEFAULTS.message_bytes, 'Most bytes of data in one Tile message; '
              'it takes links that carry it in 20 ms and lose nothing to have more than 60000',
              'bytes', 1000, 250000, live=True),
)
TABLE = (
    *models.MODEL, *LIVE, PROFILE,
    Parameter('image_transport', 'raw', 'Topic to subscribe to: "raw" (image) or "compressed" '
              '(image/compressed)', choices=tuple(TOPICS)),
    Parameter('reliable_tiles', True, 'QoS of Tile messages: reliable, or best effort'),
)
