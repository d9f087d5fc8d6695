"""The module layer: reconstruction losses."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from skae.functional import squared_error

if TYPE_CHECKING:
    from skae._tape import Tape


class SquaredError(nn.Module):
    """Half the squared distance of each row to its reconstruction: for real-valued data.

    Attributes
    ----------
    tape : Tape or None
        Differentiates it instead of autograd, where a net has set one.
    """

    tape: "Tape | None" = None

    def forward(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Return the loss of every row, shape (n_rows,)."""
        if self.training and self.tape is not None:
            return self.tape.squared_error(x, x_hat)
        return squared_error(x, x_hat)
