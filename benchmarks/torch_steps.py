"""Trainings of ACoL, EADER, AdaptSegNet and a classifier of photographs in PyTorch, beside ours."""

import itertools
import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """A residual block, of two 3x3 convolutions or a bottleneck of three."""

    def __init__(
        self, before: int, channels: int, stride: int, bottleneck: bool, dilation: int = 1
    ):
        super().__init__()
        after = channels * (4 if bottleneck else 1)
        if bottleneck:
            plan = [(before, channels, 1, 1), (channels, channels, 3, stride)]
            plan.append((channels, after, 1, 1))
        else:
            plan = [(before, channels, 3, stride), (channels, channels, 3, 1)]
        parts = []
        for inside, outside, size, own_stride in plan:
            spread = dilation if size > 1 else 1
            conv = nn.Conv2d(
                inside, outside, size, own_stride, size // 2 * spread, spread, bias=False
            )
            parts += [conv, nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]
        self.branch = nn.Sequential(*parts[:-1])
        self.shortcut = nn.Identity()
        if stride > 1 or before != after:
            conv = nn.Conv2d(before, after, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.branch(x) + self.shortcut(x), inplace=True)


def resnet(blocks: tuple[int, ...], bottleneck: bool) -> tuple[nn.Module, int]:
    """A ResNet up to its last feature maps, and their channels."""
    stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    parts = [stem, nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    width = 64
    for stage, count in enumerate(blocks):
        for number in range(count):
            stride = 2 if number == 0 and stage > 0 else 1
            parts.append(Block(width, 64 * 2**stage, stride, bottleneck))
            width = 64 * 2**stage * (4 if bottleneck else 1)
    return nn.Sequential(*parts), width


class Step:
    """A training step, whose modules are among its attributes."""

    def to_channels_last(self) -> None:
        """Lay the weights out as images with channels last want them."""
        for module in filter(lambda own: isinstance(own, nn.Module), vars(self).values()):
            module.to(memory_format=torch.channels_last)


class AcolStep(Step):
    """Recipe pp with delta 0.9 on ResNet-50."""

    def __init__(self, num_classes: int):
        self.features, width = resnet((3, 4, 6, 3), bottleneck=True)
        self.classifiers = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for _ in range(2))
        weights = [*self.features.parameters(), *self.classifiers.parameters()]
        self.optimizer = torch.optim.SGD(weights, 0.001, momentum=0.9, weight_decay=0.001)

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        self.optimizer.zero_grad()
        x = self.features(images)
        loss = 0.0
        for place, classifier in enumerate(self.classifiers):
            scores = classifier(x)
            loss = loss + functional.cross_entropy(scores.mean((2, 3)), labels)
            if place == 0:
                own = scores.detach()[torch.arange(len(labels)), labels]
                low, high = own.amin((1, 2), keepdim=True), own.amax((1, 2), keepdim=True)
                kept = (own - low) / (high - low) <= 0.9
                x = x * kept[:, None]
        loss.backward()
        self.optimizer.step()
        return loss.item()


class ErasingStep(Step):
    """The localizer's turn with Grad-CAM: ResNet-18, and another one as the adversary."""

    def __init__(self, num_classes: int):
        self.features, width = resnet((2, 2, 2, 2), bottleneck=False)
        self.head = nn.Linear(width, num_classes)
        adversary, _ = resnet((2, 2, 2, 2), bottleneck=False)
        self.adversary = nn.Sequential(
            adversary, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
        )
        self.adversary.requires_grad_(False)
        weights = [*self.features.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.SGD(weights, 0.01, momentum=0.9, weight_decay=1e-4)

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        self.optimizer.zero_grad()
        features = self.features(images)
        logits = self.head(features.mean((2, 3)))
        targets = functional.one_hot(labels, logits.shape[1]).float()
        rows = torch.arange(len(labels))
        (gradient,) = torch.autograd.grad(logits[rows, labels].sum(), features, retain_graph=True)
        weights = gradient.mean((2, 3), keepdim=True)
        maps = functional.relu((features * weights).sum(1, keepdim=True))
        maps = functional.interpolate(maps, images.shape[2:], mode="bilinear")
        maps = maps - maps.amin((2, 3), keepdim=True)
        maps = maps / maps.amax((2, 3), keepdim=True).clamp_min(1e-12)
        erased = images * (1 - torch.sigmoid(100 * (maps - 0.5)))
        found = torch.sigmoid(self.adversary(erased))[rows, labels].mean()
        loss = functional.binary_cross_entropy_with_logits(logits, targets)
        loss = loss + 1e-5 * maps.mean() + 0.05 * found
        loss.backward()
        self.optimizer.step()
        return loss.item()


class AdaptationStep(Step):
    """Two outputs of DeepLab-v2 on ResNet-101, and a discriminator each."""

    def __init__(self, num_classes: int):
        stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
        stem.append(nn.MaxPool2d(3, 2, 1, ceil_mode=True))
        stages, width = [], 64
        for stage, (count, dilation) in enumerate(((3, 1), (4, 1), (23, 2), (3, 4))):
            blocks = []
            for number in range(count):
                stride = 2 if number == 0 and stage == 1 else 1
                blocks.append(Block(width, 64 * 2**stage, stride, True, dilation))
                width = 256 * 2**stage
            stages.append(nn.Sequential(*blocks))
        self.before = nn.Sequential(*stem, *stages[:3])
        self.last = stages[3]
        self.heads = nn.ModuleList(
            nn.ModuleList(
                nn.Conv2d(channels, num_classes, 3, padding=dilation, dilation=dilation)
                for dilation in (6, 12)
            )
            for channels in (1024, 2048)
        )
        widths = (num_classes, 64, 128, 256, 512)
        self.judges = nn.ModuleList(
            nn.Sequential(
                *(
                    layer
                    for before, after in itertools.pairwise(widths)
                    for layer in (nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2, True))
                ),
                nn.Conv2d(512, 1, 4, 2, 1),
            )
            for _ in range(2)
        )
        for module in [*self.before.modules(), *self.last.modules()]:
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        features = [*self.before.parameters(), *self.last.parameters()]
        groups = [
            {"params": [own for own in features if own.requires_grad]},
            {"params": self.heads.parameters(), "lr": 2.5e-3},
        ]
        self.optimizer = torch.optim.SGD(groups, 2.5e-4, momentum=0.9, weight_decay=5e-4)
        self.judging = torch.optim.Adam(self.judges.parameters(), 1e-4, betas=(0.9, 0.99))

    def predict(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Both outputs, at the size of the images."""
        before = self.before(images)
        return [
            functional.interpolate(
                sum(branch(x) for branch in head),
                images.shape[2:],
                mode="bilinear",
                align_corners=True,
            )
            for head, x in zip(self.heads, (before, self.last(before)), strict=True)
        ]

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, target: torch.Tensor) -> float:
        self.optimizer.zero_grad()
        self.judging.zero_grad()
        self.judges.requires_grad_(False)
        source = self.predict(images)
        losses = [functional.cross_entropy(own, labels, ignore_index=255) for own in source]
        (0.1 * losses[0] + losses[1]).backward()
        source = [own.detach() for own in source]
        seen = self.predict(target)
        deceiving = [_told(judge, own, 0.0) for judge, own in zip(self.judges, seen, strict=True)]
        (0.0002 * deceiving[0] + 0.001 * deceiving[1]).backward()
        self.judges.requires_grad_(True)
        for domain, outputs in enumerate((source, [own.detach() for own in seen])):
            for judge, own in zip(self.judges, outputs, strict=True):
                (_told(judge, own, float(domain)) / 2).backward()
        self.optimizer.step()
        self.judging.step()
        return losses[1].item()


def _told(judge: nn.Module, outputs: torch.Tensor, domain: float) -> torch.Tensor:
    found = judge(functional.softmax(outputs, 1))
    wanted = torch.full_like(found, domain)
    return functional.binary_cross_entropy_with_logits(found, wanted)


STEPS = {"acol": AcolStep, "erasing": ErasingStep}


class _Photographs(torch.utils.data.Dataset):
    """Crops of photographs, mirrored half of the time: float32 [3, H, W] in [0, 1], and labels."""

    def __init__(self, files: Sequence[str], labels: np.ndarray, side: int):
        self._files, self._labels, self._side = files, labels, side

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        with PIL.Image.open(self._files[row]) as picture:
            share = math.sqrt(random.uniform(0.8, 1.0))
            width, height = (share * own for own in picture.size)
            left, top = random.uniform(0, 1 - share), random.uniform(0, 1 - share)
            left, top = left * picture.width, top * picture.height
            box = (left, top, left + width, top + height)
            bilinear = PIL.Image.Resampling.BILINEAR
            pixels = picture.convert("RGB").resize((self._side, self._side), bilinear, box)
        image = torch.from_numpy(np.asarray(pixels, np.float32) / 255).permute(2, 0, 1)
        return (image.flip(2) if random.random() < 0.5 else image), int(self._labels[row])


def photograph_training(
    files: Sequence[str], labels: np.ndarray, side: int, batchsize: int
) -> Callable[[], None]:
    """A plain loop over photographs, one pass a call: ResNet-50, AdamW, channels last.

    Batch normalization keeps its statistics, and the first 40 % of the layers stay as they are.
    """
    body, width = resnet((3, 4, 6, 3), bottleneck=True)
    last = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, int(labels.max()) + 1)]
    network = nn.Sequential(body, *last).to(memory_format=torch.channels_last)
    layers = [own for own in network.modules() if isinstance(own, nn.Conv2d | nn.Linear)]
    still = layers[: round(0.4 * len(layers))]
    still += [own for own in network.modules() if isinstance(own, nn.BatchNorm2d)]
    for layer in still:
        layer.requires_grad_(False)
    trained = [own for own in network.parameters() if own.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-4, weight_decay=1e-4)
    loader = torch.utils.data.DataLoader(
        _Photographs(files, labels, side), batchsize, shuffle=True, num_workers=2, drop_last=True
    )

    def train() -> None:
        network.eval()  # which is how batch normalization keeps its statistics
        for images, wanted in loader:
            optimizer.zero_grad()
            images = images.contiguous(memory_format=torch.channels_last)
            functional.cross_entropy(network(images), wanted).backward()
            optimizer.step()

    return train
