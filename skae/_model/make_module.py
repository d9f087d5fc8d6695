"""Modules from their description."""

import torch

from skae._data.units import Units
from skae._model.losses import make_loss
from skae._model.module import AutoEncoderModule
from skae._model.networks.make_networks import make_networks
from skae._model.spec import ModelSpec


def make_module(
    method: type[AutoEncoderModule],
    spec: ModelSpec,
    units: Units,
    generator: torch.Generator | None,
) -> AutoEncoderModule:
    """Build the module of a method that ``spec`` describes; its weights come from ``generator``."""
    n_outputs = spec.n_components * method.outputs_per_component
    encoder, decoder = make_networks(spec, n_outputs, generator)
    loss = make_loss(spec.loss, units)
    module = method(encoder, decoder, spec.n_components, loss, **spec.parameters)
    # Weights are drawn in float32 for both.
    return module.to(units.tensor_dtype)
