"""A fitted autoencoder as a plain module."""

from torch import Tensor, nn


class PlainAutoEncoder(nn.Module):
    """What ``to_torch`` returns: the fitted encoder and decoder, in the units of the data.

    Attributes
    ----------
    encoder, decoder : nn.Sequential
        The units of the data, the network, the axes of the codes; and back. Layers of weights
        require gradients, all else is a buffer.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, rows: Tensor) -> Tensor:
        """Return what ``transform`` does, of shape (n_rows, n_components)."""
        codes: Tensor = self.encoder(rows)
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Return what ``inverse_transform`` does, of shape (n_rows, n_features)."""
        rows: Tensor = self.decoder(codes)
        return rows

    def reconstruct(self, rows: Tensor) -> Tensor:
        """Return the rows that belong to the codes of rows, of shape (n_rows, n_features)."""
        return self.decode(self.encode(rows))

    def forward(self, rows: Tensor) -> Tensor:
        """Reconstruct rows."""
        return self.reconstruct(rows)
