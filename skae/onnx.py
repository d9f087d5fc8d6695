"""Fitted autoencoders as ONNX files, which run without Python, torch and skae.

Needs ``pip install "skae[onnx]"``. :func:`to_onnx` writes an autoencoder to a file. A pipeline that
one is in is converted by skl2onnx, which knows all of skae's once this module is imported::

    import skae.onnx
    from skl2onnx import to_onnx

    model = to_onnx(pipeline, X[:1].astype(np.float32))

An estimator of one's own is known after :func:`register`.
"""

from typing import Any, TypeVar

try:
    import onnx as _onnx
    import skl2onnx as _skl2onnx  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'skae.onnx needs ONNX ({error}); install it with pip install "skae[onnx]".'
    ) from error

import skae
from skae._estimator.parameters.rules import is_integer
from skae._estimator.use import FittedAutoEncoder
from skae._files.replace import replacing
from skae._imputer import AutoEncoderImputer
from skae._onnx.parts import make_onnx
from skae._onnx.pipeline import register_autoencoder, register_refused

__all__ = ["register", "to_onnx"]

PARTS = ("encode", "decode", "reconstruct")
# Of the operators that skae writes itself.
OLDEST_OPSET = 13

Kind = TypeVar("Kind", bound=type)


def to_onnx(
    model: Any, path: Any = None, *, part: str = "encode", opset: int = 18
) -> "_onnx.ModelProto":
    """Return a fitted autoencoder as an ONNX model of any number of rows, and write it to a file.

    Dense and convolutional networks are written by skae, and networks and activations of one's
    own by ``torch.onnx``.

    Parameters
    ----------
    model : estimator
        A fitted autoencoder of skae or of one's own. For a pipeline take ``skl2onnx.to_onnx``.
    path : str or path-like, optional
        The file to write, or to replace: whole or not at all.
    part : {"encode", "decode", "reconstruct"}, default="encode"
        What the file does:

        ============= ============ ===================== ==========================================
        part          input        outputs               as the estimator's
        ============= ============ ===================== ==========================================
        "encode"      ``"X"``      ``"codes"``           ``transform``
        "decode"      ``"codes"``  ``"X_hat"``           ``inverse_transform``
        "reconstruct" ``"X"``      ``"X_hat", "codes"``  ``inverse_transform`` of ``transform``
        ============= ============ ===================== ==========================================

    opset : int, default=18
        Version of ONNX's operators. Lower it to 13 for an old runtime; a network of one's own
        needs 18.

    Returns
    -------
    onnx.ModelProto
        Inputs and outputs have the model's ``dtype``. ``metadata_props`` are ``skae_version``,
        ``estimator``, ``part`` and, where the fit had names of columns, ``feature_names`` as JSON.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        Before ``fit``.
    TypeError
        For what is not an autoencoder of skae.
    ValueError
        For an unknown ``part`` or ``opset``, and for a network that ``torch.onnx`` cannot write.
    OSError
        Where the file cannot be written; a file that was there stays.

    Notes
    -----
    Missing values are not filled: a row with NaN has NaN as its code. onnxruntime has no
    float64 convolutions, ELU and GELU: files of ``dtype="float64"`` compute these in float32.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoder
    >>> from skae.onnx import to_onnx
    >>> X, _ = load_digits(return_X_y=True)
    >>> file = to_onnx(AutoEncoder(8, max_iter=5, random_state=0).fit(X))
    >>> [output.name for output in file.graph.output]
    ['codes']
    """
    if not isinstance(model, FittedAutoEncoder):
        raise TypeError(
            f"model is a {type(model).__name__}, and to_onnx takes a fitted autoencoder of skae; "
            "for a pipeline with one take skl2onnx.to_onnx, after import skae.onnx."
        )
    if part not in PARTS:
        raise ValueError(f"part={part!r} is not one of {', '.join(map(repr, PARTS))}.")
    newest = _onnx.defs.onnx_opset_version()
    if not is_integer(opset) or not OLDEST_OPSET <= opset <= newest:
        raise ValueError(
            f"opset={opset!r} must be an integer from {OLDEST_OPSET} to {newest}, the newest that "
            "the installed onnx knows."
        )
    module: Any = model.to_torch()
    proto = make_onnx(module, part, int(opset), _describe(model, part))
    if path is not None:
        with replacing(path) as file:
            file.write(proto.SerializeToString())
    return proto


def register(kind: Kind) -> Kind:
    """Let skl2onnx convert pipelines with autoencoders of a class of one's own.

    skae's own, and those subclasses of them that exist when this module is imported, are
    known already.

    Parameters
    ----------
    kind : type
        A subclass of an autoencoder of skae or of :class:`skae.base.BaseAutoEncoder`.

    Returns
    -------
    type
        The same class, so that this is a decorator too.

    Raises
    ------
    TypeError
        For what is no class of autoencoders.

    Examples
    --------
    >>> import skae.onnx
    >>> from skae import AutoEncoder
    >>> @skae.onnx.register
    ... class MyAutoEncoder(AutoEncoder):
    ...     pass
    """
    if not isinstance(kind, type) or not issubclass(kind, FittedAutoEncoder):
        raise TypeError(
            f"kind={kind!r} must be a class of autoencoders: a subclass of "
            "skae.base.BaseAutoEncoder."
        )
    register_autoencoder(kind)
    return kind


def _describe(model: FittedAutoEncoder, part: str) -> dict[str, Any]:
    """Return what a file says of its model."""
    texts = {"skae_version": skae.__version__, "estimator": type(model).__name__, "part": part}
    names = getattr(model, "feature_names_in_", None)
    return texts if names is None else {**texts, "feature_names": list(map(str, names))}


def _register_all(kinds: list[type]) -> None:
    """Register classes and their subclasses."""
    for kind in kinds:
        register_autoencoder(kind)
        _register_all(kind.__subclasses__())


_register_all([FittedAutoEncoder])
register_refused(AutoEncoderImputer)
