"""How a net is pickled."""

from typing import Any

from skorch import NeuralNet


class PickledOnce(NeuralNet):
    """A net around a module that is built already, and that its pickle has once.

    To skorch ``module`` is what ``module_`` is built from, and it pickles both.
    """

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "module_" in vars(self):
            state["module"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "module_" in vars(self):
            self.module = self.module_
