"""Policies to compare in simulated worlds, from doing nothing to always selling."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from training.world import NO_ACTION, Asked, Chosen, EventJson, Policy, WorldConfig
from training.world_history import Nothing, PolicyValue, RandomPolicy, policy_value

SELLING = ("loan_offer", "card_offer", "referral")
HELPING = ("help_popup", "agent_callback", "apology_credit", "ivr_payment_tip")


class Always:
    """The first of its actions that the channel can show, to everybody, every time."""

    def __init__(self, actions: Sequence[str]) -> None:
        self._actions = actions

    def observe(self, events: Sequence[EventJson]) -> None:
        """Nothing is learned."""

    def choose(self, asked: Asked) -> Chosen:
        """Deterministic, so its propensity is 1."""
        drawn = next((one for one in self._actions if one in asked.offered), NO_ACTION)
        return Chosen(drawn, 1.0, f"{asked.customer_id}|{asked.at.isoformat()}")


class HelpAfterFailure:
    """Help where something failed since the last question, and nothing else."""

    def __init__(self) -> None:
        self._failed: dict[str, bool] = defaultdict(bool)
        self._help = Always(HELPING)

    def observe(self, events: Sequence[EventJson]) -> None:
        """Remember failures, customer by customer."""
        for event in events:
            if _is_failure(event):
                self._failed[event["customer_id"]] = True

    def choose(self, asked: Asked) -> Chosen:
        """Help once for each run of failures."""
        if self._failed.pop(asked.customer_id, False):
            return self._help.choose(asked)
        return Chosen(NO_ACTION, 1.0, f"{asked.customer_id}|{asked.at.isoformat()}")


def _is_failure(event: EventJson) -> bool:
    properties = event["properties"]
    return (
        event["name"] == "Form Error"
        or properties.get("results_count") == 0
        or properties.get("resolved") is False
    )


BUILT_IN: Mapping[str, Callable[[int], Policy]] = {
    "nothing": lambda seed: Nothing(),
    "random": RandomPolicy,
    "always sell": lambda seed: Always(SELLING),
    "always help": lambda seed: Always(HELPING),
    "help after failure": lambda seed: HelpAfterFailure(),
}


def compare_policies(
    config: WorldConfig,
    seeds: Sequence[int],
    policies: Mapping[str, Callable[[int], Policy]] = BUILT_IN,
    progress: Callable[[str], None] = lambda policy: None,
) -> dict[str, PolicyValue]:
    """What each policy is worth in the worlds of these seeds, under common random numbers.

    `progress` is told the name of each policy as it begins.
    """
    values = {}
    for name, make in policies.items():
        progress(name)
        values[name] = policy_value(config, make, seeds)
    return values
