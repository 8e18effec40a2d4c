"""The tables of codes and rule kinds: a new kind of limit that one place forgets is found here."""

from __future__ import annotations

from nba.governance.reason_codes import CODE_OF_LAYER, RULE_KINDS, STAGE_OF
from nba.governance.rule_ablation import rule_parts
from nba.journey.policies import ContactRules
from nba.journey_file.loader import load_journey
from nba.journey_file.policy_summary import limit_rows
from tests.fixtures.files import BANK_JOURNEY

LISTS = [
    name
    for name in ContactRules.__struct_fields__
    if isinstance(getattr(ContactRules(), name), list)
]
BANK = load_journey(BANK_JOURNEY)
LIMITS = {limit.id for name in LISTS for limit in getattr(BANK.contact_policy, name)}


def test_every_list_of_the_contact_policy_is_a_kind_of_rule() -> None:
    assert {kind.limits for kind in RULE_KINDS.values() if kind.limits} == set(LISTS)


def test_every_code_of_a_kind_has_a_stage() -> None:
    codes = {code for kind in RULE_KINDS.values() for code in kind.codes}
    assert codes | set(CODE_OF_LAYER.values()) <= set(STAGE_OF)


def test_every_limit_of_the_bank_can_be_priced_and_is_shown() -> None:
    assert all(getattr(BANK.contact_policy, name) for name in LISTS), "the bank has each kind"
    assert {part.id for part in rule_parts(BANK)} >= LIMITS
    assert {row[0] for row in limit_rows(BANK)} >= LIMITS


def test_what_law_product_and_customer_demand_is_told_apart_from_what_may_be_changed() -> None:
    parts = {part.id: part for part in rule_parts(BANK)}
    demanded = {part.kind for part in parts.values() if part.demanded}
    assert (
        {"consent", "quiet hours"} <= demanded <= {"consent", "quiet hours", "engagement", "inline"}
    )
    assert parts["lend_to_adults"].demanded
    assert not parts["loan_offer.applicable"].demanded
    assert not any(part.demanded for part in parts.values() if part.kind in ("cap", "lever"))
