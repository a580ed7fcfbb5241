import torch

from intradp_ros.model.demo import STRIDES, DemoNet, cell_centres
from intradp_ros.model.demo_loss import assign, loss
from intradp_ros.scenes.scene import scene

SIZE = 96, 128


def cells() -> torch.Tensor:
    return torch.cat([cell_centres(SIZE[0] // s, SIZE[1] // s, s, torch.device('cpu'))
                      for s in STRIDES])


def test_only_cells_inside_a_box_answer_for_it_and_the_best_gives_its_overlap():
    points = cells()
    truth = torch.tensor([[[8.0, 8, 56, 56], [80, 40, 120, 90], [0, 0, 0, 0]]])
    labels = torch.tensor([[1, 0, -1]])
    # Every cell proposes a box of about 40x40 around itself and is equally sure of both classes.
    half = 20 + torch.rand(len(points), 1, generator=torch.Generator().manual_seed(0))
    boxes = torch.cat([points - half, points + half], 1)[None]
    scores = torch.full((1, len(points), 2), 0.5)
    owner, target = assign(scores, boxes, points, truth, labels)
    for which in (0, 1):
        mine = owner[0] == which
        assert 0 < mine.sum() <= 9
        corner = truth[0, which]
        assert ((points[mine] > corner[:2]) & (points[mine] < corner[2:])).all()
        low = torch.maximum(boxes[0, :, :2], corner[:2])
        high = torch.minimum(boxes[0, :, 2:], corner[2:])
        inner = (high - low).clamp(min=0).prod(1)
        area = (2 * half[:, 0]) ** 2 + (corner[2:] - corner[:2]).prod()
        overlap = inner / (area - inner)
        torch.testing.assert_close(target[0, mine].max(), overlap.max())
    assert (owner != 2).all()
    assert (target[owner < 0] == 0).all()


def test_a_cell_between_two_objects_takes_the_one_that_it_fits():
    points = cells()
    truth = torch.tensor([[[0.0, 0, 90, 90], [20, 20, 60, 60]]])
    boxes = truth[0, 1].expand(1, len(points), 4)
    owner, _ = assign(torch.full((1, len(points), 1), 0.5), boxes, points, truth,
                      torch.zeros(1, 2, dtype=torch.long))
    inside = ((points > 20) & (points < 60)).all(1)
    assert (owner[0, inside] != 0).all() and (owner[0, inside] == 1).any()


def test_an_image_without_objects_costs_only_false_scores():
    net = DemoNet().eval()
    image = torch.zeros(1, 3, *SIZE, dtype=torch.uint8)
    classes, fit = loss(net(image), torch.zeros(1, 1, 4), torch.full((1, 1), -1))
    assert classes > 0 and fit == 0


def test_a_few_steps_learn_one_scene():
    torch.manual_seed(0)
    shown = scene(3, held_out=False, size=SIZE)
    net = DemoNet().train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    image = torch.from_numpy(shown.image).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    boxes = torch.from_numpy(shown.boxes)[None].repeat(2, 1, 1)
    labels = torch.from_numpy(shown.labels)[None].repeat(2, 1)
    costs = []
    for _ in range(40):
        classes, fit = loss(net(image), boxes, labels)
        optimizer.zero_grad()
        (classes + fit).backward()
        optimizer.step()
        costs.append((classes + fit).item())
    assert costs[-1] < 0.5 * costs[0]
