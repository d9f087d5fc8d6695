"""How a detector is saved: its fitted state as arrays, numbers and autoencoders."""

from typing import Any

from skae._estimator.saving.savable import Savable
from skae._outliers.member import Member
from skae._outliers.schema import FITTED, check_detector


class SavedDetector(Savable):
    """A detector that can be saved, with its autoencoders."""

    _nested = ("_members", "estimator")

    # Members are dicts, so that skops need not trust their class.

    def _get_state(self) -> dict[str, Any]:
        state = super()._get_state()
        if "_members" in state:
            state["_members"] = [dict(vars(member)) for member in state["_members"]]
        return state

    def _set_state(self, state: dict[str, Any]) -> None:
        if "_members" in state:
            state = {**state, "_members": [Member(**each) for each in state["_members"]]}
        super()._set_state(state)

    @classmethod
    def _names_of_state(cls) -> tuple[set[str], set[str]]:
        return FITTED, {"feature_names_in_"}

    @classmethod
    def _check_state(cls, state: dict[str, Any]) -> None:
        check_detector(state)
