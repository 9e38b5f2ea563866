"""EfficientNet-Lite0: mobile inverted bottlenecks without squeeze-and-excitation, with ReLU6.

Shapes: B batch, C channels, H W space, K classes.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

# Of each stage: blocks, kernel, stride of the first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _TOP = 32, 1280
STRIDE = 32
"""Pixels of the picture for one of the last map."""


class SameConv2d(nn.Conv2d):
    """A convolution with as much padding as gives ceil(side / stride) outputs, the smaller half of it first.

    As TensorFlow's "SAME": how much that is depends on the picture's sides, and at stride 2 it is mostly uneven.

    Args:
        before, after: channels.
        kernel: side of the kernel.
        stride: of the convolution.
        groups: 1, or as many as channels.

    Example:
        >>> import torch
        >>> SameConv2d(3, 8, 3, stride=2)(torch.zeros(1, 3, 7, 8)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(before, after, kernel, stride=stride, groups=groups, bias=False)
        # He et al.'s normal by fan-out, which in a depthwise convolution is of one group.
        deviation = (2.0 / (kernel * kernel * after // groups)) ** 0.5
        nn.init.normal_(self.weight, 0.0, deviation)

    def reset_parameters(self) -> None:
        """Draws no numbers, since others take their place; but it counts as the draw that it was in PyTorch."""
        self.weight.detach()[:0].uniform_()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        before, after = zip(*(_same(side, kernel, stride) for side in x_BCHW.shape[-2:]), strict=True)
        if before == after:
            return F.conv2d(x_BCHW, self.weight, None, self.stride, before, 1, self.groups)
        padded = F.pad(x_BCHW, (before[1], after[1], before[0], after[0]))
        return F.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)


def _same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """The padding before and after a side."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Layer(nn.Sequential):
    """A convolution, its norm, and a ReLU6 unless the block ends there."""

    def __init__(
        self, before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv"] = SameConv2d(before, after, kernel, stride=stride, groups=groups)
        layers["norm"] = _norm(after)
        if not linear:
            layers["activation"] = nn.ReLU6()
        super().__init__(layers)


class _Block(nn.Module):
    """Expand, filter each channel, project; the input is added where it has the output's shape."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion > 1:
            layers["expand"] = _Layer(before, wide, 1)
        layers["depthwise"] = _Layer(wide, wide, kernel, stride=stride, groups=wide)
        layers["project"] = _Layer(wide, after, 1, linear=True)
        self.layers = nn.Sequential(layers)
        self.adds = stride == 1 and before == after

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        y_BCHW: Tensor = self.layers(x_BCHW)
        return x_BCHW + y_BCHW if self.adds else y_BCHW


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0: 4,652,008 parameters with 1,000 classes.

    Args:
        num_classes: K.

    References:
        Tan and Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks"; Liu 2020,
        "Higher accuracy on vision models with EfficientNet-Lite".

    Example:
        >>> sum(p.numel() for p in EfficientNetLite0().parameters())
        4652008
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.stem = _Layer(3, _STEM, 3, stride=2)
        blocks: list[nn.Module] = []
        before = _STEM
        for repeats, kernel, stride, expansion, after in _STAGES:
            for i in range(repeats):
                blocks.append(_Block(before, after, kernel, stride if i == 0 else 1, expansion))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.top = _Layer(before, _TOP, 1)
        self.classifier = nn.Linear(_TOP, num_classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, K)."""
        x_BCHW = self.top(self.blocks(self.stem(x_BCHW)))
        logits_BK: Tensor = self.classifier(x_BCHW.mean((-2, -1)))
        return logits_BK
