"""The parameters that choose a model, the same on both sides of a split."""

import torch
from rclpy.node import Node

from intradp_ros.errors import ModelError, ParameterError
from intradp_ros.model import zoo
from intradp_ros.model.detector import Detector, parse_size
from intradp_ros.nodes.parameters import Parameter


def _size_fault(text: object) -> str:
    try:
        if text:
            parse_size(text)
    except ParameterError as error:
        return str(error)
    return ''


MODEL = (
    Parameter('model', 'demo_detector', 'The same on device and edge: "demo_detector", or any '
              'detector or classifier of torchvision'),
    Parameter('weights', 'DEFAULT', 'Weights: "DEFAULT" (the demo detector\'s come along, '
              "torchvision's are downloaded once), a file (state_dict, .pt or .safetensors), or "
              '"random"'),
    Parameter('seed', 0, 'Seed of random weights', low=0, high=2**31 - 1),
    Parameter('input_size', '', "Model input as WIDTHxHEIGHT in pixels; empty: the model's own",
              check=_size_fault),
    Parameter('score_threshold', 0.4, 'Least score of a detection', low=0.0, high=1.0),
    Parameter('max_detections', 100, 'Most detections of a frame', low=1, high=1000),
    Parameter('compute_device', 'auto', 'Where the model runs; auto: CUDA if there is any',
              choices=('auto', 'cpu', 'cuda')),
    Parameter('threads', 0, 'CPU threads of the model; 0: one a core', low=0, high=256),
)


def build(node: Node) -> Detector:
    """Build the detector that a node's parameters name; raises ModelError."""
    read = {p.name: node.get_parameter(p.name).value for p in MODEL}
    device = read['compute_device']
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if device == 'cuda' and not torch.cuda.is_available():
        raise ModelError('compute_device is "cuda", but torch finds no CUDA device here')
    if read['threads']:
        torch.set_num_threads(read['threads'])
    detector = zoo.build(
        read['model'], read['weights'], read['seed'],
        parse_size(read['input_size']) if read['input_size'] else None,
        read['score_threshold'], read['max_detections'], device)
    node.get_logger().info(f'model {detector.identity}, input {detector.input_width}x'
                           f'{detector.input_height}, on {device}')
    return detector
