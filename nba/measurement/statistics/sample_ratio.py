"""Sample ratio mismatch: whether the arms hold the shares of customers that they were given.

Where they do not, some customers were lost on the way, in one arm more than in the other, and no
effect of that experiment means anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.special import chdtrc, chdtri, chndtrinc, gammaln

from nba.errors import InvalidInput
from nba.measurement.statistics.estimate import Undecided

LEVEL = 0.001  # below this p the experiment is not read
CONCENTRATION = 100.0  # of the Dirichlet around the planned shares


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """How well the counts fit the planned shares."""

    p: float
    n: int
    impossible: tuple[str, ...] = ()  # arms of share 0 that hold customers all the same
    anytime: bool = False  # p may be read at every look

    @property
    def broken(self) -> bool:
        """Whether the experiment must not be read."""
        return self.p < LEVEL


def ratio_mismatch(
    counts: Sequence[int], shares: Sequence[float], names: Sequence[str]
) -> Mismatch | Undecided:
    """Pearson's chi-square at one look; p is 0 where an arm of share 0 holds anybody."""
    n, impossible, observed, planned = _arms(counts, shares, names)
    if impossible:
        return Mismatch(p=0.0, n=n, impossible=impossible)
    if n == 0 or len(planned) < 2:
        return Undecided(reason=f"{n} customers in {len(planned)} arms: nothing to compare")
    chi2 = float(((observed - n * planned) ** 2 / (n * planned)).sum())
    return Mismatch(p=float(chdtrc(len(planned) - 1, chi2)), n=n)


def anytime_mismatch(
    counts: Sequence[int],
    shares: Sequence[float],
    names: Sequence[str],
    *,
    concentration: float = CONCENTRATION,
) -> Mismatch | Undecided:
    """The same at every look: 1 / the Bayes factor of a Dirichlet around the shares, at most 1.

    The least p so far is what counts once looks are many. Lindon and Malek, Anytime-Valid
    Inference for Multinomial Count Data, NeurIPS 2022, section 2.
    """
    n, impossible, observed, planned = _arms(counts, shares, names)
    if impossible:
        return Mismatch(p=0.0, n=n, impossible=impossible, anytime=True)
    if n == 0 or len(planned) < 2:
        return Undecided(reason=f"{n} customers in {len(planned)} arms: nothing to compare")
    p = math.exp(-max(log_bayes_factor(observed, planned, concentration).item(), 0.0))
    return Mismatch(p=p, n=n, anytime=True)


def log_bayes_factor(
    counts: np.ndarray, shares: np.ndarray, concentration: float = CONCENTRATION
) -> np.ndarray:
    """Of counts (..., arms) under the Dirichlet against those under the shares (arms,), (...)."""
    prior = concentration * shares
    n = counts.sum(axis=-1)
    mixed = gammaln(concentration) - gammaln(concentration + n)
    mixed = mixed + (gammaln(prior + counts) - gammaln(prior)).sum(axis=-1)
    return np.asarray(mixed - (counts * np.log(shares)).sum(axis=-1))


def detectable_loss(
    n: int, shares: Sequence[float], arm: int = 0, *, power: float = 0.8, level: float = LEVEL
) -> float | Undecided:
    """The share of one arm's customers whose loss n assigned customers would show.

    At one look with this power: the loss d at which n (1 - s d) customers are left whose
    chi-square has the noncentrality n s (1 - s) d^2 / (1 - s d) that the power asks for; s is the
    arm's share. To be told beside every p that is not broken.
    """
    planned = np.asarray(shares, dtype=float) / float(np.sum(shares))
    if n <= 0 or not 0.0 < planned[arm] < 1.0:
        return Undecided(reason=f"{n} customers, and a share of {planned[arm]:g} in that arm")
    degrees = int((planned > 0.0).sum()) - 1
    needed = float(chndtrinc(float(chdtri(degrees, level)), degrees, 1.0 - power))
    slope = needed * planned[arm] / (n * planned[arm] * (1.0 - planned[arm]))
    constant = needed / (n * planned[arm] * (1.0 - planned[arm]))
    loss = float(-slope + math.sqrt(slope**2 + 4.0 * constant)) / 2.0
    if loss >= 1.0:
        return Undecided(reason=f"{n} customers would not show the loss of the whole arm")
    return loss


def _arms(
    counts: Sequence[int], shares: Sequence[float], names: Sequence[str]
) -> tuple[int, tuple[str, ...], np.ndarray, np.ndarray]:
    """(customers, impossible arms, counts and shares of the possible arms)."""
    if not len(counts) == len(shares) == len(names):
        raise InvalidInput(
            "shares", list(shares), f"one for each of {len(counts)} counts and names"
        )
    observed, planned = np.asarray(counts, dtype=float), np.asarray(shares, dtype=float)
    if (planned < 0.0).any() or planned.sum() <= 0.0:
        raise InvalidInput("shares", list(shares), "none below 0, and not all 0")
    if (observed < 0.0).any():
        raise InvalidInput("counts", list(counts), "none below 0")
    possible = planned > 0.0
    strangers = tuple(names[i] for i in np.flatnonzero(~possible & (observed > 0.0)).tolist())
    return (
        int(observed.sum()),
        strangers,
        observed[possible],
        planned[possible] / planned[possible].sum(),
    )
