"""
Measure what a model costs on this machine: operators at several band heights, codecs, messages.

Run it on the robot and on the server, and plan with both files. Without -o the profile goes where
the nodes look for it, in the user's cache folder. With --import a table that something else
measured becomes a profile (columns op, kind, inputs, outputs, output_shapes, split_dim,
device_ms, server_ms).
"""

import argparse
import json
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch
from tqdm import tqdm

from intradp_ros.errors import ModelError, ParameterError
from intradp_ros.model import registry, zoo
from intradp_ros.model.capture import capture
from intradp_ros.model.detector import Detector, parse_size
from intradp_ros.model.graph import Graph, Tensor
from intradp_ros.planning import profile_cache, profile_file, profile_plot
from intradp_ros.planning.measure import measure
from intradp_ros.planning.profile import Power, Profile
from intradp_ros.planning.table import read_table
from intradp_ros.scenes.scene import scene

STATES = tuple(f.name for f in fields(Power))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `intradp profile`."""
    parser.add_argument('model', nargs='?', metavar='MODEL',
                        help='demo_detector, or any torchvision builder')
    parser.add_argument('--weights', metavar='FILE',
                        help='state_dict file, DEFAULT or random (default: '
                             'DEFAULT for demo_detector, else random)')
    parser.add_argument('--size', metavar='WxH',
                        help="input size in pixels (default: the model's own, or 640x480)")
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu',
                        help='default: %(default)s')
    parser.add_argument('--threads', type=int, default=0, metavar='N',
                        help='threads of torch; 0: one a core (default)')
    parser.add_argument('--budget', type=float, default=20.0, metavar='S',
                        help='seconds to measure at most, if that is enough for five passes '
                             '(default: %(default)g)')
    parser.add_argument('--power', metavar='STATE=W,...',
                        help=f'watts of this machine by state ({", ".join(STATES)}); default: '
                             'a Jetson Xavier NX')
    parser.add_argument('--import', dest='table', type=Path, metavar='F.csv',
                        help='read a table of operators instead of measuring')
    parser.add_argument('--side', choices=('device', 'edge'), default='device',
                        help='of a table: device_ms or server_ms (default: %(default)s)')
    parser.add_argument('--input-dtype', default='float32', metavar='TYPE',
                        help="of a table: type of the model's input (default: %(default)s)")
    parser.add_argument('-o', '--output', type=Path, metavar='F.json',
                        help="default: the nodes' cache folder; with --import F.csv: F.json here")
    parser.add_argument('--plot', type=Path, metavar='F.png',
                        help='draw the time by band height of the costliest operators')
    parser.add_argument('--json', action='store_true', help='print JSON and nothing else')


def run(args: argparse.Namespace) -> int:
    """Measure or import, write the file, print a summary."""
    if (args.model is None) == (args.table is None):
        raise ParameterError('give a MODEL to measure, or --import a table')
    if args.threads < 0 or args.budget <= 0:
        raise ParameterError('--threads has to be 0 or more, --budget above 0')
    power = parse_power(args.power) if args.power else None
    if args.table:
        tables = read_table(args.table, args.input_dtype)
        profile = tables[0 if args.side == 'device' else 1]
        output = args.output or Path(f'{args.table.stem}.json')
    else:
        profile, output = measured(args), args.output
    if power:
        profile = replace(profile, power=power)
    if output:
        profile_file.save(profile, output)
    else:
        output = profile_cache.keep(profile, args.device)
    if args.plot:
        profile_plot.plot(profile, args.plot)
    found = summary(profile, output)
    print(json.dumps(found, indent=1) if args.json else text(found))
    return 0


def measured(args: argparse.Namespace) -> Profile:
    """Build the model and measure it, with a bar on stderr."""
    graph, detector = build(args.model, args.weights, args.size, args.device)
    quiet = args.json or not sys.stderr.isatty()
    with tqdm(total=100, unit='%', desc=args.model, file=sys.stderr, disable=quiet,
              bar_format='{desc} {bar} {percentage:3.0f} % {elapsed}') as bar:
        def report(share: float) -> None:
            bar.update(max(0, round(100 * share) - bar.n))
        profile = measure(graph, args.model, scene(0).image, detector, args.device, args.threads,
                          args.budget, report)
    try:
        # Only here: without ROS all but this can be measured.
        from intradp_ros.nodes.message_cost import with_messages
    except ImportError:
        return replace(profile, note='cost of a message taken as 0: no rclpy here')
    return with_messages(profile, scene(0).image, detector, args.device)


def build(name: str, weights: str | None, size: str | None,
          device: str) -> tuple[Graph, Detector | None]:
    """
    Build a model and capture it; what the nodes can run as they do, so that fingerprints agree.

    :raises ModelError: for an unknown model, weights for one that nodes cannot run, a bad size.
    """
    if device == 'cuda' and not torch.cuda.is_available():
        raise ModelError('torch finds no CUDA device here')
    shape = parse_size(size) if size else None
    if name in zoo.names():
        default = 'DEFAULT' if name == 'demo_detector' else 'random'
        detector = zoo.build(name, weights or default, input_size=shape, device=device)
        return detector.graph, detector
    if weights not in (None, 'random'):
        raise ModelError(f'--weights is for detectors and classifiers; {name} is measured '
                         f'with random ones')
    entry = registry.build(name, shape)
    example = torch.zeros(1, 3, entry.height, entry.width, dtype=torch.uint8)
    return capture(entry.module, example), None


def parse_power(text: str) -> Power:
    """Read 'idle=5,compute=12' over the defaults; raises ParameterError."""
    watts: dict[str, float] = {}
    for part in text.split(','):
        state, _, value = part.partition('=')
        try:
            watts[state.strip()] = float(value)
        except ValueError:
            raise ParameterError(f'--power takes STATE=WATTS, got {part!r}') from None
        if state.strip() not in STATES or not 0 <= watts[state.strip()] < 1e5:
            raise ParameterError(f'--power {part}: states are {", ".join(STATES)}, in watts')
    return replace(Power(), **watts)


def bottlenecks(profile: Profile) -> list[Tensor]:
    """Tensors that all passes through and that are fewer bytes than the uint8 input."""
    graph, smallest = profile.graph, float('inf')
    source = graph.tensors[graph.input]
    least, found = source.bytes / source.dtype.itemsize, []
    for tensor in graph.merge_candidates():
        if tensor.id != graph.input and tensor.bytes < min(least, smallest):
            smallest = tensor.bytes
            found.append(tensor)
    return found


def summary(profile: Profile, file: Path) -> dict:
    """Sum up a profile: what it is of, whole, wavefront, costliest operators, bottlenecks."""
    graph, total = profile.graph, profile.total
    source = graph.tensors[graph.input]
    elements = source.bytes / source.dtype.itemsize
    return {
        'file': str(file), 'model': profile.model, 'fingerprint': profile.fingerprint,
        'host': profile.host, 'processor': profile.processor, 'threads': profile.threads,
        'torch': profile.torch, 'note': profile.note, 'has_geometry': profile.has_geometry,
        'whole_ms': 1e3 * total, 'before_ms': 1e3 * profile.before,
        'after_ms': 1e3 * profile.after, 'message_ms': 1e3 * profile.message_seconds,
        'message_compute_ms': 1e3 * profile.message_compute,
        'message_idle_ms': 1e3 * profile.message_idle,
        'band_call_us': 1e6 * profile.band_call,
        'measured': asdict(profile.measured) if profile.measured else None,
        'power': asdict(profile.power), 'codecs': [asdict(c) for c in profile.codecs],
        'operators': [
            {'name': graph.operators[i].name, 'kind': graph.operators[i].kind,
             'ms': 1e3 * profile.whole[i], 'share': profile.whole[i] / total if total else 0.0,
             'rows': list(profile.seconds[i].rows),
             'us_per_row': [1e6 * s / r for r, s in zip(profile.seconds[i].rows,
                                                        profile.seconds[i].seconds)]}
            for i in profile_plot.costliest(profile, 8)],
        'bottlenecks': [
            {'name': t.name, 'bytes_of_input': t.bytes / elements,
             'time_share': profile.of([o.id for o in graph.ancestors([t.id])]) / total
             if total else 0.0}
            for t in bottlenecks(profile)],
    }


def text(found: dict) -> str:
    """Format a summary for people."""
    lines = [f'{found["model"]} on {found["processor"]}, threads: {found["threads"]}',
             f'  whole model         {found["whole_ms"]:9.2f} ms']
    measured = found['measured']
    if measured:
        ratio = measured['wavefront'] / measured['whole']
        lines += [
            f'  in {measured["bands"]} bands          {ratio:9.2f} of that',
            f'  operators one by one{measured["operators"] / measured["whole"]:9.2f} of that '
            f'(+- {100 * measured["error"]:.1f} %, {measured["passes"]} passes)',
            f'  a call for a band   {found["band_call_us"]:9.1f} us more in a frame',
            f'  pre-, postprocessing{found["before_ms"]:9.2f} ms, {found["after_ms"]:.2f} ms',
            f'  one message         {found["message_ms"]:9.3f} ms'
            + (f', of the core {found["message_compute_ms"]:.3f} ms beside inference, '
               f'{found["message_idle_ms"]:.3f} ms otherwise'
               if found['message_compute_ms'] else '')]
    for codec in found['codecs']:
        lines.append(f'  {codec["name"]:<20}{codec["ratio"]:9.2f} bytes an element, encode '
                     f'{1e9 * codec["encode"]:.2f} ns, decode {1e9 * codec["decode"]:.2f} ns')
    lines += ['', f'  {"operator":<36}{"kind":<16}{"ms":>8}{"share":>7}  us a row, in bands of']
    for o in found['operators']:
        rows = ' '.join(f'{us:.0f}@{r}' for r, us in zip(o['rows'], o['us_per_row']))
        lines.append(f'  {o["name"][:35]:<36}{o["kind"]:<16}{o["ms"]:8.2f}'
                     f'{100 * o["share"]:6.1f}%  {rows}')
    lines += ['', '  natural bottleneck                     bytes/uint8 input   time before it']
    lines += [f'  {b["name"][:35]:<36}{b["bytes_of_input"]:14.2f}{100 * b["time_share"]:16.0f} %'
              for b in found['bottlenecks']] or ['  none: the input itself is what should travel']
    if found['note']:
        lines += ['', f'  note: {found["note"]}']
    return '\n'.join([*lines, '', f'  written to {found["file"]}'])
