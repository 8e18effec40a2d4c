"""The off-policy gate: a challenger is worth at least what the champion is, at every look.

Candidates are tried again every day, so the bound is valid at any number of looks.
"""

from __future__ import annotations

import math

from nba.measurement.off_policy.evaluation import AGREE, paired_scores
from nba.measurement.off_policy.intervals import always_valid_lower_bound, standard_error
from nba.measurement.off_policy.logged_decisions import LoggedDecisions, overlap
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import normal_interval
from nba.promotion.verdict import Gate, failed, passed, undecided
from training.gates.limits import LIMITS, GateLimits

NAME = "off_policy"


def off_policy_gate(
    evidence: LoggedDecisions, champion: LoggedDecisions | None, limits: GateLimits = LIMITS
) -> Gate:
    """Challenger minus champion by DR, in EUR per decision of the same logged decisions.

    `champion`: None where what was decided stands for it. Passed where the lower bound is above
    -margin, failed where the upper one is below; DR and SNIPS must agree.
    """
    weights = overlap(evidence)
    numbers = {
        "decisions": float(weights.n),
        "customers": float(weights.customers),
        "ess": weights.ess,
        "largest_share": weights.largest_share,
        "mean_weight": weights.mean_weight,
        "margin_eur": limits.margin_eur,
        "left_out": float(evidence.left_out.decisions),
    }
    if champion is not None:
        numbers["ess_champion"] = overlap(champion).ess
    scores = paired_scores(evidence, champion, requirements=limits.requirements)
    if isinstance(scores, Undecided):
        return undecided(NAME, scores, numbers)
    dr, snips = scores
    dr_error, snips_error = (standard_error(score, evidence.customers) for score in scores)
    if min(dr_error, snips_error) <= 0.0:
        return undecided(NAME, "the scores do not vary: nothing says how sure they are", numbers)
    low = always_valid_lower_bound(dr.value, dr_error, weights.customers)
    high = 2 * dr.value - low
    apart = abs(dr.value - snips.value) / max(dr_error, snips_error)
    numbers |= {
        "gain_eur": dr.value,
        "gain_snips_eur": snips.value,
        "stderr_eur": dr_error,
        "low_eur": low,
        "high_eur": high,
        "low_one_look_eur": normal_interval(dr.value, dr_error, 0.90).low,
        "apart_stderr": apart,
    }
    over = "what was decided" if champion is None else "the champion"
    figures = (
        f"{dr.value:.4g} EUR per decision over {over}, always-valid bounds {low:.4g} and {high:.4g}"
    )
    if evidence.left_out.decisions:
        figures += f"; {evidence.left_out.text}"
    if apart > AGREE:
        return undecided(
            NAME, f"DR and SNIPS are {apart:.1f} standard errors apart: {figures}", numbers
        )
    if low > -limits.margin_eur:
        return passed(NAME, figures, numbers)
    if high < -limits.margin_eur:
        return failed(NAME, f"surely worse: {figures}", numbers)
    return undecided(
        NAME,
        f"not enough evidence: {figures}{_missing(dr.value, low, limits, weights.customers)}",
        numbers,
    )


def _missing(gain: float, low: float, limits: GateLimits, customers: int) -> str:
    """How many customers would do, if the gain is what it looks like: the error falls with the
    square root of their number."""
    room = gain + limits.margin_eur
    if room <= 0.0:
        return ""
    needed = math.ceil(customers * ((gain - low) / room) ** 2)
    return f"; such a gain takes about {needed:,} customers, {customers:,} are here"
