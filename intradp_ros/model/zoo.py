"""
Detectors and classifiers by name: this project's own, and every torchvision builder of either.

Their weights come with the package, from torchvision's hub, from a file, or from a seed.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import torch
import torchvision
from torch import nn

from intradp_ros.errors import ModelError
from intradp_ros.model import demo, families
from intradp_ros.model.detector import Detector


def detectors() -> list[str]:
    """All detectors that `build` knows."""
    builders = torchvision.models.list_models(module=torchvision.models.detection)
    return [demo.NAME, *sorted(builders)]


def classifiers() -> list[str]:
    """All classifiers that `build` knows."""
    return sorted(torchvision.models.list_models(module=torchvision.models))


def names() -> list[str]:
    """All models that `build` knows."""
    return [*detectors(), *classifiers()]


def unknown(name: str, known: list[str]) -> ModelError:
    """Make the error for a name that is not known, with those of its family, or else all."""
    close = [n for n in known if name.split('_')[0] in n] or known
    return ModelError(f'unknown model {name!r}; there are: {", ".join(close)}')


def build(name: str, weights: str = 'random', seed: int = 0,
          input_size: tuple[int, int] | None = None, score_threshold: float | None = None,
          max_detections: int | None = None, device: str = 'cpu') -> Detector:
    """
    Build one detector or classifier, in eval mode, ready to be split.

    A classifier is a detector whose boxes are the whole image (`families.classify`).

    :param name: one of `names()`.
    :param weights: 'DEFAULT' (the demo detector's come with the package, torchvision's are
        downloaded at the first use), 'random' (from `seed`; boxes mean nothing), or the path of a
        state_dict (.pt, .pth, .safetensors).
    :param input_size: (height, width) in pixels, of a detector multiples of 32 where the size
        is free; None for the model's own (SSD, classifiers), else 480 x 640.
    :param score_threshold: least score of a detection; None for the model's own (classifiers: 0).
    :raises ModelError: for an unknown name, weights that cannot be loaded or do not fit, a bad
        size.
    """
    if name not in names():
        raise unknown(name, names())
    if name == demo.NAME:
        return _build_demo(weights, seed, input_size or (480, 640), score_threshold,
                           max_detections, device)
    if name in classifiers():
        return _build_classifier(name, weights, seed, input_size or own_size(name),
                                 score_threshold, max_detections, device)
    options = {}
    if score_threshold is not None:
        options['box_score_thresh' if 'rcnn' in name else 'score_thresh'] = score_threshold
    if max_detections is not None:
        options['box_detections_per_img' if 'rcnn' in name else 'detections_per_img'] = \
            max_detections
    model = module(name, weights, seed, **options)
    fixed = getattr(model.transform, 'fixed_size', None)
    size = input_size or (tuple(fixed[::-1]) if fixed else (480, 640))
    if name == 'ssd300_vgg16' and min(size) < 300:
        raise ModelError(f'{name} needs an input of at least 300x300 pixels, got '
                         f'{size[1]}x{size[0]}')
    if not fixed:
        _check_multiple(name, size)
    dense, decode = families.split(model)
    return Detector(name, dense, decode, _categories(name), size[0], size[1], bool(fixed), device,
                    settings=f'score {score_threshold} most {max_detections}',
                    joining=families.joining(model))


def module(name: str, weights: str = 'random', seed: int = 0, **options) -> nn.Module:
    """
    Build torchvision's own module of one of its models, in eval mode; parameters as in `build`.

    :param options: torchvision's, such as `score_thresh`.
    """
    if weights == 'DEFAULT':
        try:
            return torchvision.models.get_model(name, weights='DEFAULT', **options).eval()
        except OSError as error:
            raise ModelError(f'cannot download the weights of {name} ({error}); without internet '
                             f'give a file, or "random"') from error
    # The seed is for these weights alone; whoever uses torch's generator elsewhere keeps theirs.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = torchvision.models.get_model(
            name, num_classes=len(_categories(name)), **untrained(name), **options).eval()
    if weights == 'random':
        if name in classifiers():
            _enliven(model, seed, lambda noise: model(noise[None]), own_size(name))
        else:
            _enliven(model, seed, lambda noise: model([noise]))
    else:
        load(model, weights, name)
    return model


def _categories(name: str) -> tuple[str, ...]:
    return tuple(torchvision.models.get_model_weights(name).DEFAULT.meta['categories'])


def untrained(name: str) -> dict[str, object]:
    """Options by which torchvision builds a model without weights that its own would fit."""
    options: dict[str, object] = {'weights': None}
    if name not in classifiers():
        options['weights_backbone'] = None
    if name in ('googlenet', 'inception_v3'):
        # Their weights were trained on another normalisation, which is then part of the model.
        options |= {'init_weights': False, 'transform_input': True}
    if name.startswith('vit_'):
        options['image_size'] = own_size(name)[0]
    return options


def own_size(name: str) -> tuple[int, int]:
    """(height, width) in pixels of the images that a classifier's weights are for."""
    (side,) = torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size
    return side, side


def is_fixed(name: str) -> bool:
    """Whether position embeddings, or windows that must divide the image, fix the input's size."""
    return name.startswith(('vit_', 'maxvit_'))


def _build_classifier(name: str, weights: str, seed: int, size: tuple[int, int],
                      score_threshold: float | None, max_detections: int | None,
                      device: str) -> Detector:
    meta = torchvision.models.get_model_weights(name).DEFAULT
    least = own_size(name) if is_fixed(name) else meta.meta['min_size']
    if size != least if is_fixed(name) else size[0] < least[0] or size[1] < least[1]:
        raise ModelError(f'{name} needs an input of {"" if is_fixed(name) else "at least "}'
                         f'{least[1]}x{least[0]} pixels, got {size[1]}x{size[0]}')
    transforms = meta.transforms()
    dense = families.Outputs(module(name, weights, seed), transforms.mean, transforms.std)
    least_score = score_threshold or 0.0
    most = families.TOP if max_detections is None else max_detections
    # The whole image, whatever its shape: torchvision's own crop would leave out what a robot
    # sees at its sides.
    return Detector(name, dense, families.classify(least_score, most), _categories(name), *size,
                    stretch=True, device=device, settings=f'score {least_score} most {most}')


def _build_demo(weights: str, seed: int, size: tuple[int, int], score_threshold: float | None,
                max_detections: int | None, device: str) -> Detector:
    _check_multiple(demo.NAME, size)
    net = demo.DemoNet()
    if weights == 'random':
        _enliven(net, seed, lambda noise: net((noise * 255).to(torch.uint8)[None]))
    elif weights == 'DEFAULT':
        with resources.as_file(resources.files('intradp_ros.model') / demo.WEIGHTS) as path:
            load(net, path, demo.NAME)
    else:
        load(net, weights, demo.NAME)
    settings = demo.Settings()
    if score_threshold is not None:
        settings = replace(settings, score_threshold=score_threshold)
    if max_detections is not None:
        settings = replace(settings, max_detections=max_detections)
    return Detector(demo.NAME, net, demo.decoder(settings), demo.CLASSES, size[0], size[1],
                    device=device, settings=str(settings), joining=demo.joining(settings))


def _check_multiple(name: str, size: tuple[int, int]) -> None:
    if size[0] % 32 or size[1] % 32:
        raise ModelError(f'{name} needs an input whose sides are multiples of 32 pixels, got '
                         f'{size[1]}x{size[0]}')


def load(model: nn.Module, path: str | os.PathLike, name: str) -> None:
    """
    Load a state_dict from a file, without running any code that the file may hold.

    :raises ModelError: when the file is missing, is not a state_dict, or does not fit the model.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f'no weights file {path} for {name} (parameter "weights": a file, '
                         f'"DEFAULT" or "random")')
    try:
        if path.suffix == '.safetensors':
            from safetensors.torch import load_file
            state = load_file(path)
        else:
            state = torch.load(path, map_location='cpu', weights_only=True)
        model.load_state_dict(state)
    except Exception as error:
        text = str(error).replace('\n', ' ')
        raise ModelError(f'{path} does not hold weights for {name}: {text[:600]}') from error


def _enliven(model: nn.Module, seed: int, run: Callable[[torch.Tensor], object],
             size: tuple[int, int] = (320, 320)) -> None:
    """
    Draw random weights that keep activations and scores alive through a deep network.

    `run` runs the model on a float image (3, *size) in [0, 1].

    Torchvision's own initialisation leaves many detectors constant. Here each layer is drawn by
    He's rule, then scaled on one noise image until its output has a variance near one (LSUV,
    Mishkin and Matas 2016, section 2). The factors are powers of two, so that two machines whose
    last bits differ still get the same weights, and with them the same fingerprint.
    """
    generator = torch.Generator().manual_seed(seed)
    scaled = set()

    def scale(layer: nn.Module, _, output: torch.Tensor) -> torch.Tensor:
        if layer in scaled or not output.numel():
            return output
        scaled.add(layer)
        factor = 2.0 ** -round(torch.log2(output.std(correction=0).clamp_min(1e-20)).item())
        layer.weight.mul_(factor)
        return output * factor

    hooks = []
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                fan_in = layer.weight[0].numel()
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator)
                                   * (2 / fan_in) ** 0.5)
                if layer.bias is not None:
                    layer.bias.zero_()
                hooks.append(layer.register_forward_hook(scale))
        model.eval()
        run(torch.rand(3, *size, generator=generator))
    for hook in hooks:
        hook.remove()
