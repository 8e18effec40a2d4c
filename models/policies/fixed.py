"""Fixed: the first action of an ordered list that is a candidate."""

from __future__ import annotations

from collections.abc import Sequence

from models.policies.greedy import evenly
from nba.engine.policy import Floats, Worth
from nba.journey.actions import NO_ACTION


class Fixed:
    """All on the first of `codes` that is a candidate; where none is, all on the best mean.

    Several candidates of one code share evenly.
    """

    def __init__(self, codes: Sequence[int]) -> None:
        self.codes = tuple(codes)
        self.name = f"fixed({','.join(str(code) for code in self.codes)})"

    @classmethod
    def in_order(cls, order: Sequence[str], actions: Sequence[str]) -> Fixed:
        """The policy of these action ids; `actions`: every action id in the order of its code."""
        code_of = {action: code for code, action in enumerate(actions)} | {NO_ACTION: -1}
        return cls([code_of[action] for action in order])

    def probabilities(self, worth: Worth) -> Floats:
        for code in self.codes:
            has_code = worth.codes == code
            if has_code.any():
                return evenly(has_code)
        return evenly(worth.mean_eur == worth.mean_eur.max())
