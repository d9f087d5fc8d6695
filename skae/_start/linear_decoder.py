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


def fit_linear_decoder(module: AutoEncoderModule, rows: RowDataset) -> None:
    """Give ``module`` the best linear decoder for its loss, and for the codes that it has.

    That is a generalised linear model of each feature, convex, with a normal prior of its
    weights. Tied weights change the codes with the decoder. Fitted by L-BFGS on as many rows
    as suffice.
    """
    encoder, decoder = cast(Any, module.encoder).linear, cast(Any, module.decoder).linear
    tied = isinstance(decoder, TiedLinear)
    loss = cast(LinkedLoss, module.loss)
    few = rows.spread(max(1000, DECODER_SIZE // rows.n_features))
    x = few.take(torch.arange(len(few)))
    with torch.no_grad():
        # The mean of a feature that never varies, too, has finite logits.
        total = module.units.to_data(x).sum(dim=0)
        usual = loss.link((total + 0.5) / (len(x) + 1))
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
        total = (
            loss(x, decoder(module.code(x) if tied else codes)).sum() + 0.5 * prior
        ) / x.numel()
        total.backward()
        return total

    optimizer.step(objective)
    for p, was_trained in zip(fitted, were_trained, strict=True):
        p.requires_grad_(was_trained).grad = None
