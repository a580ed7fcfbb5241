"""
What it costs to give memory back between frames: time and page faults with and without.

    python bench/memory.py [MODEL ...] [--repeat 3] [--output bench/results/memory]

Each figure is of a process of its own, the two kinds in turn; medians over processes of medians
over 30 frames on one thread, CPU time of the thread that runs the engine.
"""

import argparse
import json
import subprocess
import sys
from statistics import median

import record

ONE = """
import json, resource, statistics, sys, threading, time
from intradp_ros.runtime import memory
if sys.argv[2] == 'kept':
    assert memory.keep_freed()
import torch
torch.set_num_threads(1)
from intradp_ros.model import registry
from intradp_ros.model.capture import capture
from intradp_ros.tiling.engine import Engine
entry = registry.build(sys.argv[1])
image = registry.random_image((entry.height, entry.width))
engine = Engine(capture(entry.module, image), threads=1)

def work():
    for _ in range(5):
        engine.run(image)
    faults, times = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, []
    for _ in range(30):
        begin = time.thread_time()
        engine.run(image)
        times.append(time.thread_time() - begin)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({'ms': statistics.median(times) * 1e3,
                      'faults': (usage.ru_minflt - faults) / 30,
                      'peak_mb': usage.ru_maxrss / 1024}))

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
MODELS = 'demo_detector', 'mobilenet_v2', 'ssdlite320_mobilenet_v3_large', \
    'retinanet_resnet50_fpn'


def main() -> int:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='*', default=MODELS, metavar='MODEL')
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--output', default='bench/results/memory')
    args = parser.parse_args()
    results = []
    for model in args.models:
        runs: dict[str, list[dict]] = {'given back': [], 'kept': []}
        for _ in range(args.repeat):
            for kind, found in runs.items():
                done = subprocess.run([sys.executable, '-c', ONE, model, kind], check=True,
                                      capture_output=True, text=True)
                found.append(json.loads(done.stdout))
        results.append({'model': model, **{
            kind: {key: median(run[key] for run in found) for key in found[0]}
            for kind, found in runs.items()}})
        print(results[-1], flush=True)
    lines = ['Freed memory given back to the system (the default) or kept for the next frame '
             '(`intradp_ros/runtime/memory.py`), one thread, CPU time of a frame.', '',
             '| model | given back ms | kept ms | ratio | page faults a frame | kept | '
             'peak MB | kept |', '|---|---|---|---|---|---|---|---|']
    for r in results:
        back, kept = r['given back'], r['kept']
        lines.append(f'| {r["model"]} | {back["ms"]:.1f} | {kept["ms"]:.1f} | '
                     f'{kept["ms"] / back["ms"]:.2f} | {back["faults"]:.0f} | '
                     f'{kept["faults"]:.0f} | {back["peak_mb"]:.0f} | {kept["peak_mb"]:.0f} |')
    record.write(args.output, results, '\n'.join(lines) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
