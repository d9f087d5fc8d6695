"""Backpropagation with the formulas written out."""

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from skae._model.losses import SquaredError
from skae._model.networks.floored import FlooredNetwork
from skae._model.networks.mlp import MLP, Linear
from skae._model.networks.tied import TiedLinear
from skae._model.substitute import Substitutable

# Each activation, and the gradient at its input a, given the gradient g at its output h.
ACTIVATIONS: dict[type[nn.Module], tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    nn.Identity: (lambda a: a, lambda g, a, h: g),
    nn.Sigmoid: (torch.sigmoid, lambda g, a, h: torch.ops.aten.sigmoid_backward(g, h)),
    nn.Tanh: (torch.tanh, lambda g, a, h: torch.ops.aten.tanh_backward(g, h)),
    nn.ReLU: (torch.relu, lambda g, a, h: torch.ops.aten.threshold_backward(g, h, 0)),
    nn.GELU: (nn.functional.gelu, lambda g, a, h: torch.ops.aten.gelu_backward(g, a)),
    nn.SiLU: (nn.functional.silu, lambda g, a, h: torch.ops.aten.silu_backward(g, a)),
    nn.ELU: (
        nn.functional.elu,
        lambda g, a, h: torch.ops.aten.elu_backward(g, 1, 1, 1, False, a),
    ),
}


def is_known(network: MLP) -> bool:
    """Tell whether a network is linear layers and one known activation, as it was built."""
    layers = list(network)
    kinds = {type(layer) for layer in layers[1::2]}
    return (
        all(type(layer) is Linear for layer in layers[::2])
        and len(layers) % 2 == 1
        and len(kinds) <= 1
        and kinds <= ACTIVATIONS.keys()
        and not any(has_hooks(part) for part in (network, *layers))
    )


def has_hooks(module: nn.Module) -> bool:
    """Tell whether someone wants to be called when a module or its gradients are computed."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    of_parameters = (p._backward_hooks for p in module._parameters.values() if p is not None)
    return any([*hooks, module._backward_pre_hooks, *of_parameters])


class Substitute(functools.partial[Tensor]):
    """What computes in a module's place while it trains; a copy of the module has none."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(None), ()


class Layers:
    """What passes through an MLP need of its layers, looked up once a training."""

    def __init__(self, mlp: MLP) -> None:
        linears = [layer for layer in mlp if isinstance(layer, nn.Linear)]
        # Views: the optimizer changes weights and gradients in place.
        self.weights = [layer.weight.detach() for layer in linears]
        self.transposed = [weight.t() for weight in self.weights]
        self.biases = [layer.bias.detach() for layer in linears]
        self.weight_grads = [cast(Tensor, layer.weight.grad) for layer in linears]
        self.bias_grads = [cast(Tensor, layer.bias.grad) for layer in linears]
        self.is_fresh = True  # nothing has been added to the gradients in this step
        self.was_left = False  # autograd has differentiated a call
        self.activate, self.differentiate = ACTIVATIONS[
            type(mlp[1]) if len(mlp) > 1 else nn.Identity
        ]

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return the output, and the inputs and the outputs of the linear layers."""
        inputs, outputs = [x], []
        for weight, bias in zip(self.transposed[:-1], self.biases[:-1], strict=True):
            outputs.append(torch.addmm(bias, inputs[-1], weight))
            inputs.append(self.activate(outputs[-1]))
        return torch.addmm(self.biases[-1], inputs[-1], self.transposed[-1]), inputs, outputs

    def backward(self, g: Tensor, inputs: list[Tensor], outputs: list[Tensor]) -> Tensor:
        """Set the parameters' gradients, or add to them; return that of the first output."""
        ones = g.new_ones(len(g))
        for i in range(len(inputs) - 1, -1, -1):
            transposed, weight_grad, bias_grad = g.t(), self.weight_grads[i], self.bias_grads[i]
            if self.is_fresh:
                torch.mm(transposed, inputs[i], out=weight_grad)
                torch.mv(transposed, ones, out=bias_grad)
            else:
                weight_grad.addmm_(transposed, inputs[i])
                bias_grad.addmv_(transposed, ones)
            if i > 0:
                g = self.differentiate(g @ self.weights[i], outputs[i - 1], inputs[i])
        self.is_fresh = False
        return g

    def leave(self) -> None:
        """Let autograd add to the gradients too, in this step."""
        self.was_left = True
        if self.is_fresh:
            self.zero_grad()
            self.is_fresh = False

    def zero_grad(self) -> None:
        """Set the parameters' gradients to zero."""
        for grad in (*self.weight_grads, *self.bias_grads):
            grad.zero_()


@dataclass(eq=False, slots=True)
class Step:
    """A step of the computation: its input, its output, and how to go back."""

    x: Tensor
    y: Tensor
    backward: Callable[[Tensor], Tensor | None]


class Tape:
    """Trains networks with their formulas written out.

    On small networks the bookkeeping of autograd costs more than the mathematics. To
    autograd, what a step on the tape returns is a leaf: it differentiates whatever lies
    between such steps, often nothing, and :meth:`backward` does the rest.

    The tape decides itself what it serves: MLPs whose layers and activation it knows and whose
    weights no other module has, the squared error, and of their calls those through which
    autograd would differentiate once, from the loss. All else is left to autograd.

    Parameters
    ----------
    modules : iterable of nn.Module
        All parts of a module. Their parameters must have a ``grad`` that stays in place.

    Attributes
    ----------
    parameters : set of nn.Parameter
        Those of the networks on the tape.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        parts = list(modules)
        self.steps: list[Step] = []
        self.outputs: set[int] = set()
        self.seeds: dict[Any, Tensor] = {}
        owners = Counter(p for part in parts for p in part._parameters.values() if p is not None)
        for part in parts:
            if isinstance(part, TiedLinear):
                owners.update(part.twin.parameters())
        self.layers = {
            part: Layers(part)
            for part in parts
            if isinstance(part, MLP)
            and is_known(part)
            and all(owners[p] == 1 for p in part.parameters())
        }
        self.parameters = {p for network in self.layers for p in network.parameters()}
        self.users: list[Substitutable] = []
        for part in parts:
            if isinstance(part, MLP) and part in self.layers:
                self._serve(part, self.mlp)
            elif isinstance(part, FlooredNetwork) and part.network in self.layers:
                self._serve(part, self.floored)
            elif isinstance(part, SquaredError):
                self._serve(part, self.squared_error)

    def _serve(self, module: Substitutable, function: Callable[..., Tensor]) -> None:
        module.substitute = Substitute(function, module)
        self.users.append(module)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(None), ()  # a net that is saved while it trains is saved without

    def close(self) -> None:
        """Give the modules back to autograd."""
        for module in self.users:
            module.substitute = None

    # -- forward ---------------------------------------------------------------------------

    def _serves(self, x: Tensor) -> bool:
        """Tell whether autograd would differentiate a call once, from the loss backwards."""
        # A method that makes its input a leaf will ask autograd for the gradient there.
        is_others_leaf = x.requires_grad and x.is_leaf and id(x) not in self.outputs
        return (
            not is_others_leaf
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled(x.device.type)
            and torch._C._functorch.peek_interpreter_stack() is None
        )

    def _record(self, x: Tensor, y: Tensor, backward: Callable[[Tensor], Tensor | None]) -> Tensor:
        self.steps.append(Step(x, y.requires_grad_(), backward))
        self.outputs.add(id(y))
        return y

    def mlp(self, network: MLP, x: Tensor) -> Tensor:
        """Return the network's output."""
        layers = self.layers[network]
        if not self._serves(x):
            layers.leave()
            return network.compute(x)
        y, inputs, outputs = layers.forward(x.detach())

        def backward(grad: Tensor) -> Tensor | None:
            g = layers.backward(grad, inputs, outputs)
            return g @ layers.weights[0] if x.requires_grad else None

        return self._record(x, y, backward)

    def floored(self, floored: FlooredNetwork, x: Tensor) -> Tensor:
        """Return what a linear map and a network give together."""
        layers = self.layers[cast(MLP, floored.network)]
        if not self._serves(x):
            layers.leave()
            return floored.compute(x)
        linear, scale = floored.linear, floored.scale
        y, inputs, outputs = layers.forward(x.detach())
        y = torch.addcmul(linear(x.detach()), y, scale)

        def backward(grad: Tensor) -> Tensor | None:
            g = layers.backward(grad * scale, inputs, outputs)
            return (g @ layers.weights[0]).addmm_(grad, linear.weight) if x.requires_grad else None

        return self._record(x, y, backward)

    def squared_error(self, loss: SquaredError, x: Tensor, x_hat: Tensor) -> Tensor:
        """Return ½ Σₖ (x̂ₖ − xₖ)² of every row."""
        if x.requires_grad or not x_hat.requires_grad or not self._serves(x_hat):
            return loss.compute(x, x_hat)
        difference = x_hat.detach() - x
        y = torch.linalg.vecdot(difference, difference).mul_(0.5)
        return self._record(x_hat, y, lambda grad: difference.mul_(grad[:, None]))

    # -- backward --------------------------------------------------------------------------

    def backward(self, terms: Iterable[Tensor], weights: Tensor | None = None) -> None:
        """Set the gradients of networks on the tape to that of the sum of the terms' means.

        To those of others it is added. Terms of single rows have their weights.
        """
        taped = {id(step.y) for step in self.steps}
        others = []
        for term in terms:
            if id(term) in taped:
                add_grad(term, self._seed(term, weights))
            elif term.requires_grad:
                others.append(term)
        if others:
            # Paths through autograd's part are taken one by one, and may meet.
            run_autograd(others, [self._seed(t, weights) for t in others])
        for step in reversed(self.steps):
            grad = None if step.y.grad is None else step.backward(step.y.grad)
            if grad is None:
                continue
            if step.x.is_leaf:
                add_grad(step.x, grad)
            else:
                run_autograd([step.x], [grad])
        self.steps.clear()
        self.outputs.clear()
        for layers in self.layers.values():
            if layers.is_fresh:  # no pass went through it
                layers.zero_grad()
            layers.is_fresh = True

    def _seed(self, term: Tensor, weights: Tensor | None) -> Tensor:
        """Return the gradient of a term's mean."""
        if weights is not None and term.dim() > 0:
            return weights / len(weights)
        if term.shape not in self.seeds:
            self.seeds[term.shape] = torch.full_like(term, 1 / term.numel())
        return self.seeds[term.shape]


def run_autograd(outputs: list[Tensor], grads: list[Tensor]) -> None:
    """Differentiate with torch's engine, and keep what it needs to do so again."""
    # Not Tensor.backward, which imports a symbolic algebra system to check shapes.
    torch.autograd.Variable._execution_engine.run_backward(
        tuple(outputs), tuple(grads), True, False, (), allow_unreachable=True, accumulate_grad=True
    )


def add_grad(leaf: Tensor, grad: Tensor) -> None:
    """Add to the gradient of a leaf."""
    leaf.grad = grad if leaf.grad is None else leaf.grad + grad
