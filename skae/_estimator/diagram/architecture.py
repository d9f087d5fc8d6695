"""A model's networks in words."""

from skae._model.module import AutoEncoderModule
from skae._model.networks.floored import FlooredNetwork, inner_network
from skae._model.networks.users import UsersNetwork
from skae._model.seeding import SeededLayer
from skae._model.spec import ModelSpec

ARROW = " → "


def describe_networks(module: AutoEncoderModule, spec: ModelSpec) -> dict[str, str]:
    """Return what encoder and decoder are, layer by layer, and how many weights there are."""
    k, n_outputs = spec.n_components, spec.n_components * module.outputs_per_component
    hidden = spec.hidden_layer_sizes
    encoder = describe_part("encoder", module, spec, (spec.n_features, *hidden, n_outputs))
    decoder = describe_part("decoder", module, spec, (k, *hidden[::-1], spec.n_features))
    if spec.tied_weights:
        decoder += ", the encoder's weights transposed"
    return {"Encoder": encoder, "Decoder": decoder, "Weights": count_weights(module)}


def describe_part(
    name: str, module: AutoEncoderModule, spec: ModelSpec, sizes: tuple[int, ...]
) -> str:
    """Return what the network of the ``name`` "encoder" or "decoder" is."""
    part = getattr(module, name)
    network = inner_network(part)
    if isinstance(network, UsersNetwork):
        own = network.network.layer if isinstance(network.network, SeededLayer) else network.network
        layers = ARROW.join([f"{sizes[0]:,}", type(own).__name__, f"{sizes[-1]:,}"])
    elif spec.image_shape is not None:
        image = " × ".join(map(str, spec.image_shape))
        channels = [f"{n} channels" for n in sizes[1:-1]]
        ends = (image, f"{sizes[-1]:,}") if name == "encoder" else (f"{sizes[0]:,}", image)
        layers = ARROW.join([ends[0], *channels, ends[1]])
    else:
        layers = ARROW.join(f"{n:,}" for n in sizes)
    if not isinstance(network, UsersNetwork) and spec.hidden_layer_sizes:
        activation = spec.activation
        layers += f", {activation if isinstance(activation, str) else activation.__name__}"
    return f"a linear map + {layers}" if isinstance(part, FlooredNetwork) else layers


def count_weights(module: AutoEncoderModule) -> str:
    """Return how many weights a model has, and how many of them are trained."""
    weights = [*module.encoder.parameters(), *module.decoder.parameters()]
    n_weights = sum(value.numel() for value in weights)
    n_fixed = sum(value.numel() for value in weights if not value.requires_grad)
    if not n_fixed:
        return f"{n_weights:,}"
    return f"{n_weights:,}, of which the {n_fixed:,} of the linear maps are not trained"
