"""The best linear decoder for a loss under which PCA's output is no reconstruction."""

from collections.abc import Callable
from typing import Any, cast

import torch
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from skae._data.batches import RowDataset
from skae._data.sources import Array
from skae._data.units import widest_float
from skae._model.losses import LinkedLoss
from skae._model.module import AutoEncoderModule
from skae._model.networks.tied import TiedLinear

# How many numbers a linear decoder is fitted on: more change it little.
DECODER_SIZE, N_STEPS, MOST_CALLS = 2**22, 60, 75


def fit_linear_decoder(module: AutoEncoderModule, rows: RowDataset, total: float) -> None:
    """Give ``module`` the best linear decoder for its loss, and for the codes that it has.

    That is a generalised linear model of each feature, convex, with a normal prior of its
    weights. Tied weights change the codes with the decoder. Fitted by L-BFGS on as many rows
    as suffice.

    Parameters
    ----------
    module : AutoEncoderModule
    rows : RowDataset
    total : float
        Sum of the weights of all rows. Below their number it counts as that: weights that sum to
        1 would leave nothing but the prior.
    """
    encoder, decoder = cast(Any, module.encoder).linear, cast(Any, module.decoder).linear
    tied = isinstance(decoder, TiedLinear)
    loss = cast(LinkedLoss, module.loss)
    wide = widest_float(rows.device)
    few = rows.spread(max(1000, DECODER_SIZE // rows.n_features))
    world, batch = rows.world, few.batch(torch.arange(len(few)))
    x, weights = world.concatenate(batch.x), batch.weights
    if weights is not None:
        weights = world.concatenate(weights)
        share = max(total / rows.n_rows, 1.0)
        weights = weights.to(x) * (share / rows.mean_weight)

    def add_up(values: Tensor) -> Tensor:
        return values.sum(dim=0) if weights is None else weights @ values

    with torch.no_grad():
        # The mean of a feature that never varies, too, has finite logits.
        n_rows = len(x) if weights is None else weights.sum()
        usual = loss.link((add_up(module.units.to_data(x)) + 0.5) / (n_rows + 1))
        decoder.bias.copy_(usual)
        if not tied:
            decoder.weight.zero_()
        codes = module.draw_code(x)
    fitted = [encoder.weight, encoder.bias] if tied else [decoder.weight]
    fitted.append(decoder.bias)
    were_trained = [p.requires_grad for p in fitted]
    for p in fitted:
        p.requires_grad_()

    def objective() -> Tensor:
        prior = decoder.weight.square().sum() + (decoder.bias - usual).square().sum()
        # In float32 the losses of large counts are rounded to more than a step gains.
        losses = loss(x.to(wide), decoder(module.code(x) if tied else codes).to(wide))
        return (add_up(losses) + 0.5 * prior) / x.numel()

    minimise(objective, fitted)
    for p, was_trained in zip(fitted, were_trained, strict=True):
        p.requires_grad_(was_trained)
        world.take_first(p.data)


def minimise(objective: Callable[[], Tensor], fitted: list[nn.Parameter]) -> None:
    """Let parameters minimise a smooth function of them, by L-BFGS.

    That is SciPy's, for torch's makes torch import its compiler, which takes seconds. It ends where
    a step changes the function by little, compared to its value: here to what has been gained.
    """
    with torch.no_grad():
        before = objective().item()

    def load(flat: Array) -> None:
        parts = torch.from_numpy(flat).split([p.numel() for p in fitted])
        with torch.no_grad():  # copies: SciPy keeps the array, and a parameter its memory
            for p, part in zip(fitted, parts, strict=True):
                p.copy_(part.view_as(p))

    def value_and_gradient(flat: Array) -> tuple[float, Array]:
        load(flat)
        value = objective()
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(value, fitted)])
        return value.item() - before, gradient.double().cpu().numpy()

    start = parameters_to_vector(fitted).detach().double().cpu().numpy()
    options = {"maxiter": N_STEPS, "maxfun": MOST_CALLS}
    found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
    load(found.x)
