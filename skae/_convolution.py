"""The module layer: convolutional encoders and decoders for rows that are flattened images."""

import math
from itertools import pairwise
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from skae._networks import Activation, make_activation, make_linear

KERNEL, STRIDE = 5, 2

Layer = TypeVar("Layer", nn.Conv2d, nn.ConvTranspose2d)


def as_image(image_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and channels; two numbers mean one channel."""
    height, width, channels = (*image_shape, 1)[:3]
    return height, width, channels


def draw_weights(layer: Layer, fan_in: float, generator: torch.Generator | None) -> Layer:
    """Draw a layer's weights; ``fan_in`` is the number of inputs that an output sums."""
    nn.init.uniform_(layer.weight, -(fan_in**-0.5), fan_in**-0.5, generator=generator)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer


class ConvEncoder(nn.Module):
    """Convolutions that halve an image each, then a dense layer.

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
            layer = skip_init(
                nn.Conv2d, n_inputs, n_next, KERNEL, stride=STRIDE, padding=KERNEL // 2
            )
            draw_weights(cast(nn.Conv2d, layer), n_inputs * KERNEL**2, generator)
            layers += [layer, make_activation(activation)]
            height, width = math.ceil(height / STRIDE), math.ceil(width / STRIDE)
        self.convolutions = nn.Sequential(*layers)
        size = height * width * (channels[-1] if channels else n_channels)
        self.last = make_linear(size, n_outputs, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, height * width * channels) to (n_rows, n_outputs)."""
        images = x.unflatten(1, self.shape).permute(0, 3, 1, 2)
        code: Tensor = self.last(self.convolutions(images).flatten(1))
        return code


class ConvDecoder(nn.Module):
    """A dense layer, then transposed convolutions: the shapes of :class:`ConvEncoder`, backwards.

    Parameters are as there; ``channels`` are in the encoder's order.
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
        self.first = make_linear(n_inputs, math.prod(self.shape), generator)
        layers: list[nn.Module] = []
        for n_inner, n_outputs, padding in reversed(steps):
            layer = skip_init(
                nn.ConvTranspose2d,
                n_inner,
                n_outputs,
                KERNEL,
                stride=STRIDE,
                padding=KERNEL // 2,
                output_padding=padding,
            )
            fan_in = n_inner * (KERNEL / STRIDE) ** 2
            layers += [make_activation(activation)]
            layers += [draw_weights(cast(nn.ConvTranspose2d, layer), fan_in, generator)]
        self.convolutions = nn.Sequential(*layers)
        self.last = layers[-1] if layers else self.first

    def forward(self, z: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, height * width * channels)."""
        images = self.convolutions(self.first(z).unflatten(1, self.shape))
        return cast(Tensor, images).permute(0, 2, 3, 1).flatten(1)
