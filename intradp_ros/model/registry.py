"""
Every torchvision model as a dense module: uint8 image in, raw outputs out, random weights alive.

The zoo has models that nodes can run, classifiers at the size they were trained for; this has all
that the tile engine must be exact on, at any size.
"""

from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, nn

from intradp_ros.model import zoo
from intradp_ros.model.detector import Detector
from intradp_ros.model.families import Outputs

SIZE = 480, 640


@dataclass(frozen=True)
class Entry:
    """A dense module, the height and width it is captured at, and for detectors the detector."""

    name: str
    module: nn.Module
    height: int
    width: int
    detector: Detector | None = None


def names() -> list[str]:
    """All classification, segmentation and detection builders of torchvision."""
    models = torchvision.models
    families = models, models.segmentation, models.detection
    return sorted(name for family in families for name in models.list_models(module=family))


def build(name: str, size: tuple[int, int] | None = None, seed: int = 0) -> Entry:
    """
    Build a model with random weights whose activations neither vanish nor explode.

    :param size: (height, width) in pixels where the model leaves it free; default 480 x 640.
    :raises ModelError: for an unknown name.
    """
    if name in zoo.detectors():
        # What torchvision does not build comes with trained weights of its own.
        random = name in names()
        detector = zoo.build(
            name,
            'random' if random else 'DEFAULT',
            seed,
            input_size=None if name in _FIXED_DETECTORS else size,
        )
        if random:
            calibrate(detector.dense, (detector.input_height, detector.input_width), seed)
        return Entry(name, detector.dense, detector.input_height, detector.input_width, detector)
    if name not in names():
        raise zoo.unknown(name, names())
    height, width = zoo.own_size(name) if zoo.is_fixed(name) else size or SIZE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = Outputs(torchvision.models.get_model(name, **zoo.untrained(name)))
    module.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    enliven(module, seed)
    calibrate(module, (height, width), seed)
    return Entry(name, module, height, width)


def weight_bytes(name: str) -> int:
    """
    Bytes of a model's float32 weights, known without building it.

    :raises ModelError: for an unknown name.
    """
    if name not in names():
        if name in zoo.names():
            return sum(t.nbytes for t in zoo.build(name).dense.state_dict().values())
        raise zoo.unknown(name, names())
    return 4 * torchvision.models.get_model_weights(name).DEFAULT.meta['num_params']


_FIXED_DETECTORS = ('ssd300_vgg16', 'ssdlite320_mobilenet_v3_large')


def enliven(module: nn.Module, seed: int) -> None:
    """Draw weights by fan-in (He et al. 2015), and open gates that begin almost closed."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            scale = (2 / part.weight[0].numel()) ** 0.5
            part.weight.normal_(0, scale, generator=generator)
            if part.bias is not None:
                part.bias.normal_(0, 0.05, generator=generator)
        gate = getattr(part, 'layer_scale', None)
        if isinstance(gate, nn.Parameter):
            gate.fill_(0.3)


def calibrate(module: nn.Module, size: tuple[int, int], seed: int) -> None:
    """
    Set batch norms to the statistics of one random image, layer after layer, as training would.

    Signals are shifted to where activations are nearly linear. At the usual start (scale 1, shift
    0) a rectifier's mean is removed after each layer and what is left is blown up: rounding
    errors of any implementation would grow a thousandfold until the output, and equality could
    not be judged.
    """
    generator = torch.Generator().manual_seed(seed)

    def shift(norm: nn.BatchNorm2d | nn.GroupNorm) -> None:
        norm.weight.uniform_(0.4, 0.6, generator=generator)
        norm.bias.uniform_(0.8, 1.2, generator=generator)

    def measure(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        (x,) = inputs
        if x.shape[2] * x.shape[3] > 1:
            variance, mean = torch.var_mean(x, (0, 2, 3))
            # A channel that is almost silent must not become the loudest: it would amplify
            # rounding.
            variance = variance.clamp_min(0.1 * variance.mean())
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            shift(norm)

    for part in module.modules():
        if isinstance(part, nn.GroupNorm):
            shift(part)
    hooks = [
        m.register_forward_pre_hook(measure)
        for m in module.modules()
        if isinstance(m, nn.BatchNorm2d)
    ]
    if hooks:
        with torch.no_grad():
            module(random_image(size, seed))
    for hook in hooks:
        hook.remove()


def random_image(size: tuple[int, int], seed: int = 0) -> Tensor:
    """Draw a uint8 image (1, 3, H, W) of noise over blobs, channels last in memory."""
    generator = torch.Generator().manual_seed(seed)
    blobs = torch.rand((1, 3, 7, 9), generator=generator)
    image = nn.functional.interpolate(blobs, size, mode='bicubic').clamp(0, 1) * 200
    image = image + torch.rand((1, 3, *size), generator=generator) * 55
    return image.to(torch.uint8).contiguous(memory_format=torch.channels_last)
