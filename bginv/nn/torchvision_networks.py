"""ResNet and VGG as torchvision builds them, so that its weights fit."""

import dataclasses
from collections.abc import Iterator

import keras
from keras import layers

from bginv.nn.layers import BatchNormalization, he_normal


@dataclasses.dataclass(frozen=True)
class ResNet:
    """What distinguishes one of the family.

    Attributes:
        blocks: residual blocks of each stage.
        bottleneck: blocks of three convolutions instead of two.
        width: of the 3x3 convolutions of bottlenecks, times the usual.
        dilated: for the last three stages, dilate instead of taking a stride of 2.
        channels: of the first stage; each one after it has twice as many.
        deeplab: as in DeepLab-v2, the first block of a dilated stage is dilated as the others are,
            and the last window of the max pool may reach beyond the edge.
        fixed_affine: batch norms keep their scale and shift.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool = True
    width: int = 1
    dilated: tuple[bool, bool, bool] = (False, False, False)
    channels: int = 64
    deeplab: bool = False
    fixed_affine: bool = False


RESNETS = {
    "resnet18": ResNet((2, 2, 2, 2), bottleneck=False),
    "resnet18deeplab": ResNet((2, 2, 2, 2), bottleneck=False, dilated=(False, True, True)),
    "resnet34": ResNet((3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNet((3, 4, 6, 3)),
    "resnet101": ResNet((3, 4, 23, 3)),
    "resnet152": ResNet((3, 8, 36, 3)),
    "wide_resnet50": ResNet((3, 4, 6, 3), width=2),
    "resnet101deeplab": ResNet((3, 4, 23, 3), dilated=(False, True, True)),
}
EXPANSION = 4
"""Channels of a bottleneck's output over those of its first convolution."""


def build_resnet(
    kind: ResNet,
    image_shape: tuple[int | None, int | None, int],
    seed: int | None = None,
    stride_first: bool = False,
) -> keras.Model:
    """A residual network without its head.

    Args:
        kind: see `RESNETS`.
        image_shape: (H, W, 3); None for any height or width.
        seed: of the initial weights, which are drawn as torchvision draws them; None draws one.
        stride_first: bottlenecks take their stride at the first 1x1 convolution, as the first
            ResNets did.

    Returns:
        Model from preprocessed images float32 [B, H, W, 3] to features [B, h, w, C]; the layers
        "layer1" to "layer4" give those of each stage.
    """
    build = _Builder(he_normal(seed), stride_first, kind.fixed_affine)
    image = layers.Input(image_shape, name="preprocessed")
    x = build.normalized(image, kind.channels, 7, "conv1", "bn1", stride=2)
    x = layers.ReLU()(x)
    # zeros beyond the edge, as nothing is smaller after a ReLU
    beyond = (1, 2) if kind.deeplab else (1, 1)
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D((beyond, beyond))(x))
    dilation = 1
    for stage, blocks in enumerate(kind.blocks):
        stride, before = (1 if stage == 0 else 2), dilation
        if stage > 0 and kind.dilated[stage - 1]:
            stride, dilation = 1, dilation * 2
        if kind.deeplab:
            before = dilation
        channels = kind.channels * 2**stage
        for block in range(blocks):
            own_stride, own_dilation = (stride, before) if block == 0 else (1, dilation)
            name = f"layer{stage + 1}.{block}"
            if kind.bottleneck:
                width = channels * kind.width
                x = build.bottleneck(x, channels, width, own_stride, own_dilation, name)
            else:
                x = build.basic(x, channels, own_stride, own_dilation, name)
        x = layers.Identity(name=f"layer{stage + 1}")(x)
    return keras.Model(image, x, name="resnet")


@dataclasses.dataclass(frozen=True)
class _Builder:
    """Blocks on one stream of initial weights."""

    initializers: Iterator[keras.initializers.Initializer]
    stride_first: bool
    fixed_affine: bool

    def normalized(self, x, filters, size, name, norm_name, stride=1, dilation=1):
        """Convolution and batch norm; symmetric padding, which "same" is for a stride of 1 only."""
        if stride > 1 and size > 1:
            x = layers.ZeroPadding2D(dilation * (size - 1) // 2)(x)
        x = layers.Conv2D(
            filters,
            size,
            stride,
            "valid" if stride > 1 else "same",
            dilation_rate=dilation,
            use_bias=False,
            kernel_initializer=next(self.initializers),
            name=name,
        )(x)
        return BatchNormalization(fixed_affine=self.fixed_affine, name=norm_name)(x)

    def shortcut(self, x, filters, stride, name):
        """The input, or its projection where the block changes its shape."""
        if stride == 1 and x.shape[-1] == filters:
            return x
        names = f"{name}.downsample.0", f"{name}.downsample.1"
        return self.normalized(x, filters, 1, *names, stride=stride)

    def basic(self, x, filters, stride, dilation, name):
        """Two 3x3 convolutions."""
        shortcut = self.shortcut(x, filters, stride, name)
        x = self.normalized(x, filters, 3, f"{name}.conv1", f"{name}.bn1", stride, dilation)
        x = layers.ReLU()(x)
        x = self.normalized(x, filters, 3, f"{name}.conv2", f"{name}.bn2", dilation=dilation)
        return layers.ReLU()(layers.Add()([x, shortcut]))

    def bottleneck(self, x, channels, width, stride, dilation, name):
        """A 3x3 convolution between two of 1x1."""
        first, second = (stride, 1) if self.stride_first else (1, stride)
        shortcut = self.shortcut(x, channels * EXPANSION, stride, name)
        x = self.normalized(x, width, 1, f"{name}.conv1", f"{name}.bn1", first)
        x = layers.ReLU()(x)
        x = self.normalized(x, width, 3, f"{name}.conv2", f"{name}.bn2", second, dilation)
        x = layers.ReLU()(x)
        x = self.normalized(x, channels * EXPANSION, 1, f"{name}.conv3", f"{name}.bn3")
        return layers.ReLU()(layers.Add()([x, shortcut]))


@dataclasses.dataclass(frozen=True)
class VGG16:
    """What distinguishes one of the family.

    Attributes:
        pool_size: of the max pools; 3 means with a padding of 1.
        strides: of the pools after the five stages; 0 for none.
        last_dilation: of the last three convolutions.
        large_field: convolutions of 1024 filters, dilated by 4, after the last stage.
    """

    pool_size: int = 2
    strides: tuple[int, ...] = (2, 2, 2, 2, 2)
    last_dilation: int = 1
    large_field: int = 0


STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Filters and number of convolutions."""
VGGS = {
    "vgg16": VGG16(),
    "deeplab_largefov": VGG16(pool_size=3, strides=(2, 2, 2, 1, 1), last_dilation=2),
}
LARGE_FIELD_FILTERS, LARGE_FIELD_DILATION = 1024, 4


def build_vgg16(
    kind: VGG16, image_shape: tuple[int | None, int | None, int], seed: int | None = None
) -> keras.Model:
    """The convolutions and pools of VGG-16.

    Args:
        kind: see `VGGS`.
        image_shape: (H, W, 3); None for any height or width.
        seed: of the initial weights, which are drawn as torchvision draws them; None draws one.

    Returns:
        Model from preprocessed images float32 [B, H, W, 3] to features [B, h, w, 512], or 1024
        with a large field.
    """
    initializers = he_normal(seed)
    image = x = layers.Input(image_shape, name="preprocessed")
    place = 0  # in PyTorch's sequence, where ReLUs and pools count

    def convolved(x, filters: int, dilation: int):
        return layers.Conv2D(
            filters,
            3,
            padding="same",
            dilation_rate=dilation,
            activation="relu",
            kernel_initializer=next(initializers),
            name=f"features.{place}",
        )(x)

    for stage, ((filters, count), stride) in enumerate(zip(STAGES, kind.strides, strict=True)):
        for _ in range(count):
            x = convolved(x, filters, kind.last_dilation if stage == len(STAGES) - 1 else 1)
            place += 2
        if stride:
            if kind.pool_size == 3:
                x = layers.ZeroPadding2D(1)(x)  # nothing is smaller after a ReLU
            x = layers.MaxPooling2D(kind.pool_size, stride)(x)
            place += 1
    for _ in range(kind.large_field):
        x = convolved(x, LARGE_FIELD_FILTERS, LARGE_FIELD_DILATION)
        place += 2
    return keras.Model(image, x, name="vgg16")
