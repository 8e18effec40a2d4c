"""Fixed: the first action of an ordered list that is a candidate."""

from __future__ import annotations

from collections.abc import Sequence

from models.policies.greedy import evenly
from nba.engine.policy import Floats, Worth


class Fixed:
    """All on the first of `codes` that is a candidate; where none is, all on the best worth.

    Several candidates of one code share evenly.
    """

    def __init__(self, codes: Sequence[int]) -> None:
        self.codes = tuple(codes)
        self.name = f"fixed({','.join(str(code) for code in self.codes)})"

    def probabilities(self, worth: Worth) -> Floats:
        for code in self.codes:
            found = worth.codes == code
            if found.any():
                return evenly(found)
        return evenly(worth.mean_eur == worth.mean_eur.max())
