"""The net layer: backpropagation with the formulas written out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn

from skae._model.losses import SquaredError
from skae._model.networks.mlp import MLP, FlooredNetwork

# An activation as a function, and the gradient at its input a from that at its output h.
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


def is_known(module: nn.Module) -> TypeGuard[MLP | SquaredError]:
    """Tell whether a module's gradient is written out here."""
    if isinstance(module, MLP):
        return len(module) == 1 or type(module[1]) in ACTIVATIONS
    return isinstance(module, SquaredError)


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

    Parameters
    ----------
    modules : iterable of nn.Module
        Those of a type that the tape knows put their steps on it; other modules are left to
        autograd. Parameters must have a ``grad`` that stays in place.

    Attributes
    ----------
    parameters : set of nn.Parameter
        Those of the networks on the tape.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.steps: list[Step] = []
        self.users = [m for m in modules if is_known(m)]
        self.layers = {m: Layers(m) for m in self.users if isinstance(m, MLP)}
        self.parameters = {p for network in self.layers for p in network.parameters()}
        self.seeds: dict[Any, Tensor] = {}
        for module in self.users:
            module.tape = self

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(None), ()  # a net that is saved while it trains is saved without

    def close(self) -> None:
        """Give the modules back to autograd."""
        for module in self.users:
            module.tape = None

    def _record(self, x: Tensor, y: Tensor, backward: Callable[[Tensor], Tensor | None]) -> Tensor:
        y.requires_grad_()
        self.steps.append(Step(x, y, backward))
        return y

    def mlp(self, network: MLP, x: Tensor, floored: FlooredNetwork | None = None) -> Tensor:
        """Return the network's output, or what ``floored`` makes of it."""
        layers = self.layers[network]
        y, inputs, outputs = layers.forward(x.detach())
        if floored is not None:
            y = torch.addcmul(floored.linear(x.detach()), y, floored.scale)

        def backward(grad: Tensor) -> Tensor | None:
            g = layers.backward(grad if floored is None else grad * floored.scale, inputs, outputs)
            if not x.requires_grad:
                return None
            g = g @ layers.weights[0]
            return g if floored is None else g.addmm_(grad, floored.linear.weight)

        return self._record(x, y, backward)

    def squared_error(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Return ½ Σₖ (x̂ₖ − xₖ)² of every row."""
        difference = x_hat.detach() - x
        y = torch.linalg.vecdot(difference, difference).mul_(0.5)
        return self._record(x_hat, y, lambda grad: difference.mul_(grad[:, None]))

    def backward(self, terms: Iterable[Tensor]) -> None:
        """Set the gradients of networks on the tape to that of the sum of the terms' means.

        To those of other parameters it is added.
        """
        taped = {id(step.y) for step in self.steps}
        others = []
        for term in terms:
            if id(term) in taped:
                add_grad(term, self._seed(term))
            elif term.requires_grad:
                others.append(term)
        if others:
            # Paths through autograd's part are taken one by one, and may meet.
            torch.autograd.backward(others, [self._seed(t) for t in others], retain_graph=True)
        for step in reversed(self.steps):
            grad = None if step.y.grad is None else step.backward(step.y.grad)
            if grad is None:
                continue
            if step.x.is_leaf:
                add_grad(step.x, grad)
            else:
                step.x.backward(grad, retain_graph=True)
        self.steps.clear()
        for layers in self.layers.values():
            if layers.is_fresh:  # no pass went through it
                layers.zero_grad()
            layers.is_fresh = True

    def _seed(self, term: Tensor) -> Tensor:
        """Return the gradient of a term's mean."""
        if term.shape not in self.seeds:
            self.seeds[term.shape] = torch.full_like(term, 1 / term.numel())
        return self.seeds[term.shape]


def add_grad(leaf: Tensor, grad: Tensor) -> None:
    """Add to the gradient of a leaf."""
    leaf.grad = grad if leaf.grad is None else leaf.grad + grad
