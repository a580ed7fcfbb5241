"""
Train the demo detector on drawn scenes: about an hour on two processor cores.

    python bench/train_demo_detector.py --out DIR

An interrupted run goes on from its last checkpoint when it is started again with the same DIR. At
the end DIR holds demo_detector.safetensors, run.json (the figures of the run) and curve.png.
"""

import argparse
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from intradp_ros.model.accuracy import Accuracy, Truth, measure
from intradp_ros.model.demo import NAME, DemoNet, Settings, decoder
from intradp_ros.model.demo_loss import loss
from intradp_ros.model.detector import Detector
from intradp_ros.scenes.objects import CLASSES
from intradp_ros.scenes.scene import scene

# (images, (height, width)) of one step, in turn: mostly small windows, which show more scenes a
# second, and now and then the size that the detector will see. All cost about the same.
SHAPES = ((16, (256, 320)), (16, (256, 320)), (4, (480, 640)))
IMAGES = max(images for images, _ in SHAPES)


class Batches(Dataset):
    """Batch number i of a run: uint8 images (N, 3, H, W), boxes (N, G, 4), labels (N, G)."""

    def __init__(self, seed: int, steps: int):
        self.seed, self.steps = seed, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[torch.Tensor, ...]:
        images, size = SHAPES[step % len(SHAPES)]
        first = (self.seed * self.steps + step) * IMAGES
        scenes = [scene(first + i, held_out=False, size=size) for i in range(images)]
        most = max(1, max(len(s.labels) for s in scenes))
        boxes, labels = torch.zeros(images, most, 4), torch.full((images, most), -1)
        for i, s in enumerate(scenes):
            boxes[i, :len(s.labels)] = torch.from_numpy(s.boxes)
            labels[i, :len(s.labels)] = torch.from_numpy(s.labels)
        pixels = torch.from_numpy(np.stack([s.image for s in scenes]))
        return pixels.permute(0, 3, 1, 2), boxes, labels


def batches(args: argparse.Namespace, start: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """The batches of steps `start`, `start` + 1 and so on, drawn in worker processes."""
    data = Batches(args.seed, args.steps)
    return iter(DataLoader(data, batch_size=None, sampler=range(start, args.steps),
                           num_workers=args.workers, prefetch_factor=4 if args.workers else None))


def evaluate(net: DemoNet, scenes: int) -> Accuracy:
    """Accuracy on the first held-out scenes, whole images of 640x480."""
    copy = DemoNet()
    copy.load_state_dict(net.state_dict())
    detector = Detector(NAME, copy, decoder(Settings(score_threshold=0.01)), CLASSES, 480, 640)
    shown = [scene(seed) for seed in range(scenes)]
    return measure([Truth(s.boxes, s.labels) for s in shown],
                   [detector.detect(s.image) for s in tqdm(shown, 'accuracy', leave=False)])


def replace(path: Path, write) -> None:
    """Write a file under a temporary name first, so that an interruption leaves no half of one."""
    temporary = path.with_suffix('.new')
    write(temporary)
    os.replace(temporary, path)


def rate(progress: float, step: int, args: argparse.Namespace) -> float:
    """Learning rate: a linear start over 200 steps, then half a cosine down to 1 %."""
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(progress, 1))
    return args.rate * min(1, (step + 1) / 200) * (0.01 + 0.99 * cosine)


def draw_curve(history: list[dict], path: Path) -> None:
    """Losses and accuracy over the steps."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, left = pyplot.subplots(figsize=(7, 4), dpi=100)
    steps = [h['step'] for h in history]
    for name in ('class_loss', 'box_loss'):
        left.plot(steps, [h[name] for h in history], label=name.replace('_', ' '))
    left.set(xlabel='step', ylabel='loss', ylim=(0, None))
    right = left.twinx()
    measured = [h for h in history if 'map_50' in h]
    for name, colour in (('map_50', 'tab:green'), ('map_50_95', 'tab:red')):
        right.plot([h['step'] for h in measured], [h[name] for h in measured], 'o-', color=colour,
                   label=name)
    right.set(ylabel='mAP on held-out scenes', ylim=(0, 1))
    figure.legend(loc='center right', bbox_to_anchor=(0.88, 0.52))
    figure.tight_layout()
    figure.savefig(path, format='png')


def initial(seed: int) -> DemoNet:
    """An untrained network whose scores are near 1 %: else the background would drown all else."""
    torch.manual_seed(seed)
    net = DemoNet().to(memory_format=torch.channels_last)
    for head in net.heads:
        torch.nn.init.normal_(head.of_class[-1].weight, std=0.01)
        torch.nn.init.constant_(head.of_class[-1].bias, -math.log(99))
        torch.nn.init.normal_(head.of_box[-1].weight, std=0.01)
        torch.nn.init.constant_(head.of_box[-1].bias, 0.7)
    return net


class Run:
    """All that a run knows; a checkpoint holds it all."""

    def __init__(self, args: argparse.Namespace):
        self.net = initial(args.seed)
        # Batch norm's statistics are those of the weights of the moment; an average over much more
        # than a hundred steps strays so far from these, while the rate is high, that they do not
        # fit it.
        self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.99),
                                     use_buffers=True)
        groups = [{'params': [p for p in self.net.parameters() if p.ndim > 1],
                   'weight_decay': 0.02},
                  {'params': [p for p in self.net.parameters() if p.ndim <= 1],
                   'weight_decay': 0}]
        self.optimizer = torch.optim.AdamW(groups, lr=args.rate)
        self.step, self.seconds, self.history = 0, 0.0, []

    def save(self, path: Path) -> None:
        state = {name: getattr(self, name).state_dict()
                 for name in ('net', 'average', 'optimizer')}
        state |= {name: getattr(self, name) for name in ('step', 'seconds', 'history')}
        replace(path, lambda file: torch.save(state, file))

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        for name in ('net', 'average', 'optimizer'):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds, self.history = (state[n] for n in ('step', 'seconds', 'history'))

    def progress(self, args: argparse.Namespace) -> float:
        """What is used up of steps or of time: a busy machine ends in time too."""
        return max(self.step / args.steps, self.seconds / (60 * args.minutes))

    def advance(self, batch: tuple[torch.Tensor, ...], rate: float) -> np.ndarray:
        """Do one step; give its losses of classes and of boxes."""
        pixels, boxes, labels = batch
        for group in self.optimizer.param_groups:
            group['lr'] = rate
        raw = self.net.train()(pixels.contiguous(memory_format=torch.channels_last))
        classes, fit = loss(raw, boxes, labels)
        self.optimizer.zero_grad()
        (classes + fit).backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 10)
        self.optimizer.step()
        self.average.update_parameters(self.net)
        self.step += 1
        return np.array([classes.item(), fit.item()])


def train(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = args.out / 'checkpoint.pt'
    run = Run(args)
    if checkpoint.exists():
        run.load(checkpoint)
    source, sums, since = batches(args, run.step), np.zeros(2), run.step
    bar = tqdm(total=args.steps, initial=run.step, desc='training', smoothing=0.05)
    last = time.monotonic()
    while (progress := run.progress(args)) < 1:
        sums += run.advance(next(source), rate(progress, run.step, args))
        bar.update()
        run.seconds += time.monotonic() - last
        last = time.monotonic()
        ends = run.progress(args) >= 1
        if run.step % 50 == 0 or run.step % args.every == 0 or ends:
            means = sums / (run.step - since)
            run.history.append({'step': run.step, 'class_loss': means[0].item(),
                                'box_loss': means[1].item()})
            sums, since = np.zeros(2), run.step
            bar.set_postfix(classes=f'{means[0]:.3f}', boxes=f'{means[1]:.3f}',
                            map=next((f'{h["map_50"]:.3f} {h["map_50_95"]:.3f}'
                                      for h in reversed(run.history) if 'map_50' in h), '-'))
        if run.step % args.every == 0 or ends:
            reached = evaluate(run.average.module, args.check)
            run.history[-1].update(map_50=reached.map_50, map_50_95=reached.map_50_95)
            run.save(checkpoint)
            last = time.monotonic()
    bar.close()
    finish(run, args)


def finish(run: Run, args: argparse.Namespace) -> None:
    """Measure the averaged weights on all held-out scenes; write weights, figures and curve."""
    average = run.average.module
    weights = save({name: t.contiguous() for name, t in average.state_dict().items()})
    reached = evaluate(average, args.scenes)
    figures = {'seed': args.seed, 'steps': run.step, 'minutes': round(run.seconds / 60, 1),
               'threads': args.threads, 'class_loss': run.history[-1]['class_loss'],
               'box_loss': run.history[-1]['box_loss'], 'scenes': args.scenes,
               'map_50': reached.map_50, 'map_50_95': reached.map_50_95,
               'map_50_by_class': {CLASSES[k]: v for k, v in reached.by_class.items()},
               'weights_sha256': hashlib.sha256(weights).hexdigest(), 'history': run.history}
    replace(args.out / 'demo_detector.safetensors', lambda path: path.write_bytes(weights))
    replace(args.out / 'run.json', lambda path: path.write_text(json.dumps(figures, indent=1)))
    replace(args.out / 'curve.png', lambda path: draw_curve(run.history, path))
    print(json.dumps({k: v for k, v in figures.items() if k != 'history'}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--out', type=Path, required=True, help='folder of checkpoint and results')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--steps', type=int, default=7000)
    parser.add_argument('--minutes', type=float, default=65,
                        help='the rate falls so that training ends by then, if not by --steps')
    parser.add_argument('--rate', type=float, default=2e-3, help='greatest learning rate')
    parser.add_argument('--threads', type=int, default=1,
                        help='of the training itself; more than the free cores make it slower')
    parser.add_argument('--workers', type=int, default=1, help='processes that draw scenes')
    parser.add_argument('--every', type=int, default=500, help='steps between checkpoints')
    parser.add_argument('--check', type=int, default=60,
                        help='held-out scenes of the accuracy at each checkpoint')
    parser.add_argument('--scenes', type=int, default=300, help='held-out scenes of the figures')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        train(args)
    except KeyboardInterrupt:
        raise SystemExit('interrupted; the same command goes on from the checkpoint') from None


if __name__ == '__main__':
    main()
