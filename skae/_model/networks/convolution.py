"""Convolutional encoders and decoders for rows that are flattened images."""

import math
from itertools import pairwise
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from skae._model.networks.mlp import MLP, Activation, make_activation, make_linear
from skae._model.plain.exportable import Exportable, copy_as, export
from skae._model.plain.layers import ChannelsFirst, ChannelsLast, Sum

# What was chosen by measurement: see benchmarks/README.md.
KERNEL, STRIDE = 3, 2
# Widths of the dense layers: next to the code, and next to the pixels.
INNER, OUTER = 256, 512

Layer = TypeVar("Layer", nn.Conv2d, nn.ConvTranspose2d)


class Convolution(nn.Conv2d, Exportable):
    """A convolution whose weights are not drawn: :func:`draw_weights` does."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""

    def to_torch(self) -> nn.Module:
        """Return a copy."""
        return copy_as(self, nn.Conv2d)


class TransposedConvolution(nn.ConvTranspose2d, Exportable):
    """A transposed convolution whose weights are not drawn: :func:`draw_weights` does."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""

    def to_torch(self) -> nn.Module:
        """Return a copy."""
        return copy_as(self, nn.ConvTranspose2d)


def as_image(image_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and channels; two numbers mean one channel."""
    height, width, channels = (*image_shape, 1)[:3]
    return height, width, channels


def draw_weights(layer: Layer, fan_in: float, generator: torch.Generator | None) -> Layer:
    """Draw a layer's weights; ``fan_in`` is the number of inputs that an output sums."""
    nn.init.uniform_(layer.weight, -(fan_in**-0.5), fan_in**-0.5, generator=generator)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer


class ConvEncoder(Exportable):
    """Convolutions that halve an image each, then two dense layers.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width) or (height, width, channels) of the images that rows are.
    channels : tuple of int
        Channels after each convolution.
    n_outputs : int
    activation : str or type
    generator : torch.Generator or None
        Draws the weights.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        channels: tuple[int, ...],
        n_outputs: int,
        activation: Activation,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        height, width, n_channels = self.shape = as_image(image_shape)
        layers: list[nn.Module] = []
        for n_inputs, n_next in pairwise((n_channels, *channels)):
            layer = Convolution(
                n_inputs,
                n_next,
                KERNEL,
                stride=STRIDE,
                padding=KERNEL // 2,
                dtype=torch.float32,
            )
            draw_weights(layer, n_inputs * KERNEL**2, generator)
            layers += [layer, make_activation(activation)]
            height, width = math.ceil(height / STRIDE), math.ceil(width / STRIDE)
        self.convolutions = nn.Sequential(*layers)
        size = height * width * (channels[-1] if channels else n_channels)
        self.dense = MLP((size, INNER, n_outputs), activation, generator)
        self.last = self.dense.last

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, height * width * channels) to (n_rows, n_outputs)."""
        images = x.unflatten(1, self.shape).permute(0, 3, 1, 2)
        code: Tensor = self.dense(self.convolutions(images).flatten(1))
        return code

    def to_torch(self) -> nn.Module:
        """Return the layers, one after the other."""
        images = nn.Unflatten(1, self.shape), ChannelsFirst()
        return nn.Sequential(*images, export(self.convolutions), nn.Flatten(1), export(self.dense))


class ConvDecoder(Exportable):
    """A dense layer, then the sum of transposed convolutions and of a dense part.

    The convolutions are :class:`ConvEncoder`'s, backwards. The dense part is for what is at
    the same place in all images: alone, each is far behind their sum. Parameters are as there;
    ``channels`` are in the encoder's order.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        channels: tuple[int, ...],
        n_inputs: int,
        activation: Activation,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        height, width, n_channels = as_image(image_shape)
        steps = []
        for n_outputs, n_inner in pairwise((n_channels, *channels)):
            # An odd size and the even one above it halve to the same; this tells them apart.
            padding = (1 - height % 2, 1 - width % 2)
            steps.append((n_inner, n_outputs, padding))
            height, width = math.ceil(height / STRIDE), math.ceil(width / STRIDE)
        self.shape = (channels[-1] if channels else n_channels, height, width)
        layers: list[nn.Module] = [make_linear(INNER, math.prod(self.shape), generator)]
        layers += [nn.Unflatten(1, self.shape)]
        for n_inner, n_outputs, padding in reversed(steps):
            layer = TransposedConvolution(
                n_inner,
                n_outputs,
                KERNEL,
                stride=STRIDE,
                padding=KERNEL // 2,
                output_padding=padding,
                dtype=torch.float32,
            )
            fan_in = n_inner * (KERNEL / STRIDE) ** 2
            draw_weights(layer, fan_in, generator)
            layers += [make_activation(activation), layer]
        self.convolutions = nn.Sequential(*layers)
        self.first = nn.Sequential(
            make_linear(n_inputs, INNER, generator), make_activation(activation)
        )
        self.dense = MLP((INNER, OUTER, math.prod(image_shape)), activation, generator)
        self.last = [*self.dense.last, layers[-1] if steps else layers[0]]

    def forward(self, z: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, height * width * channels)."""
        h = self.first(z)
        images: Tensor = self.convolutions(h).permute(0, 2, 3, 1)
        pixels: Tensor = images.flatten(1) + self.dense(h)
        return pixels

    def to_torch(self) -> nn.Module:
        """Return the layers."""
        images = nn.Sequential(export(self.convolutions), ChannelsLast(), nn.Flatten(1))
        return nn.Sequential(export(self.first), Sum(images, export(self.dense)))
