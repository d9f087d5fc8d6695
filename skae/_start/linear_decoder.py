"""The best linear decoder for a loss under which PCA's output is no reconstruction."""

from typing import Any, cast

import torch
from torch import Tensor

from skae._data.batches import RowDataset
from skae._model.losses import LinkedLoss
from skae._model.module import AutoEncoderModule
from skae._model.networks.tied import TiedLinear

# How many numbers a linear decoder is fitted on: more change it little.
DECODER_SIZE, N_STEPS = 2**22, 60


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
    optimizer = torch.optim.LBFGS(fitted, max_iter=N_STEPS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        prior = decoder.weight.square().sum() + (decoder.bias - usual).square().sum()
        losses = loss(x, decoder(module.code(x) if tied else codes))
        mean = (add_up(losses) + 0.5 * prior) / x.numel()
        mean.backward()
        return mean

    optimizer.step(objective)
    for p, was_trained in zip(fitted, were_trained, strict=True):
        p.requires_grad_(was_trained).grad = None
        world.take_first(p.data)
