"""The visits of the simulated bank: what happens at each touchpoint, event by event.

A visit returns its valence in [-1, 1]. The planted pain points are searches without a result,
forms with errors, the bank's IVR (60% ask for an agent without trying to pay, 45% of those who
try succeed) and calls that settle nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from training.simulation.config import DAY_S, HOUR_S
from training.simulation.customers import SimulatedCustomer, VisitUniforms, sigmoid
from training.simulation.life import Life

QUERIES = ("credit card", "savings rate", "car loan", "mortgage calculator", "travel insurance")
HARD_QUERIES = ("crypto savings plan", "change standing order date", "joint account for minors")
PRODUCTS = (("card", 0.30), ("savings", 0.45), ("insurance", 0.25))
FIELDS = ("income", "employer", "iban", "address")

_KINDS: Mapping[str, tuple[tuple[str, float], ...]] = {  # by goal: touchpoint and weight
    "everyday": (
        ("app_home", 0.36),
        ("payment", 0.30),
        ("web_search", 0.18),
        ("branch", 0.06),
        ("contact", 0.08),
        ("loan_application", 0.02),
    ),
    "explore": (
        ("web_search", 0.46),
        ("app_home", 0.24),
        ("payment", 0.18),
        ("branch", 0.05),
        ("contact", 0.05),
        ("loan_application", 0.02),
    ),
    "borrow": (
        ("loan_application", 0.26),
        ("web_search", 0.24),
        ("app_home", 0.20),
        ("payment", 0.18),
        ("branch", 0.06),
        ("contact", 0.06),
    ),
}


_BRANCH_TILT = {"mass": 1.0, "affluent": 0.8, "business": 1.8}
_KINDS_BY_PERSONA = {
    (goal, segment): tuple((k, w * tilt if k == "branch" else w) for k, w in kinds)
    for goal, kinds in _KINDS.items()
    for segment, tilt in _BRANCH_TILT.items()
}


def kind_of_visit(goal: str, segment: str, uniforms: VisitUniforms) -> str:
    """The touchpoint of the next planned visit."""
    return uniforms.pick("kind", _KINDS_BY_PERSONA[goal, segment])


def web_search(life: Life) -> float:
    """One to five searches; empty ones are tried again in other words."""
    uniforms, customer = life.uniforms, life.customer
    empty_share = 0.75 if customer.hard_topic else life.parameters.zero_result_share
    empty_share *= life.config.search_frustration
    queries = HARD_QUERIES if customer.hard_topic else QUERIES
    first = int(uniforms.uniform("topic") * len(queries))
    patience = 1 + int(uniforms.uniform("searches") * 4)
    has_results = False
    for turn in range(patience):
        has_results = not uniforms.happens("result", _troubled(empty_share, customer), turn)
        count = 1 + int(uniforms.uniform("result", turn) * 40) if has_results else 0
        query = queries[(first + turn // 2) % len(queries)] + (" online" if turn % 2 else "")
        life.emit("Products Searched", {"channel": "web", "query": query, "results_count": count})
        if has_results:
            break
        life.failures += 1
    if not has_results:
        life.state.issue = life.state.issue or "search"
    life.ask("web", "web_search", ("help_popup", "loan_offer"))
    if not has_results:
        if further(life, 0.5):
            life.emit("Help Article Viewed", {"channel": "web", "topic": "search"})
            life.ask("web", "help_pages", ("search_guide", "chat_invitation"), 1)
        return -0.20 - 0.20 * life.failures
    product = uniforms.pick("product", PRODUCTS)
    life.emit("Product Viewed", {"channel": "web", "product": product})
    if further(life, 0.5):
        life.ask("web", "product_page", ("insurance_offer", "chat_invitation"), 1)
    wish = -2.9 + 0.5 * life.situation().felt + 0.6 * (life.goal == "explore")
    if uniforms.happens("buy", sigmoid(wish - 2.0 * (product in life.state.products))):
        life.buy(product, round(15.0 + 30.0 * uniforms.uniform("amount"), 2))
    return 0.22 - 0.10 * life.failures


def loan_application(life: Life) -> float:
    """A form; each of its pages may be refused, and some give up."""
    uniforms = life.uniforms
    life.emit("Application Started", {"channel": "web", "product": "loan"})
    for turn in range(4):
        if not uniforms.happens(
            "form", _troubled(life.parameters.form_error_share, life.customer), turn
        ):
            break
        life.failures += 1
        life.emit("Form Error", {"channel": "web", "form": "loan", "field": FIELDS[turn]})
    life.ask("web", "loan_application", ("help_popup", "loan_offer"))
    felt = life.situation().felt
    if not uniforms.happens("submit", sigmoid(1.0 - 0.8 * life.failures + 0.3 * felt)):
        if life.failures:
            life.state.issue = life.state.issue or "application"
        return -0.10 - 0.25 * life.failures
    amount = round(3_000 + 22_000 * uniforms.uniform("amount"), -2)
    life.emit("Application Submitted", {"channel": "web", "product": "loan", "amount_eur": amount})
    if uniforms.happens("buy", sigmoid(-0.6 + 0.4 * felt)) and "loan" not in life.state.products:
        life.buy("loan", round(life.parameters.loan_margin_eur * (0.6 + amount / 32_500.0), 2))
    return 0.30 - 0.20 * life.failures


def app_home(life: Life) -> float:
    """A look at the balance."""
    life.emit("App Opened", {"channel": "app"})
    offers: tuple[str, ...] = ("card_offer", "apology_credit")
    if life.config.referral:
        offers = (*offers, "referral")
    life.ask("app", "app_home", offers)
    if life.config.outbound and life.uniforms.happens("page", 0.2, 1):
        life.later(4 * HOUR_S, "Cash Withdrawn", {"channel": "atm"}, 0.0)
    if further(life, 0.35):
        life.emit("Account Viewed", {"channel": "app"})
        life.ask("app", "app_accounts", ("overdraft_offer", "paperless"), 1)
    return 0.08


def payment(life: Life) -> float:
    """After a notice: by telephone, in the app or on the web."""
    path = life.uniforms.pick("path", (("ivr", 0.35), ("app", 0.40), ("web", 0.25)))
    if path == "ivr" and life.config.ivr:
        return ivr_payment(life)
    channel = "app" if path == "ivr" else path
    life.emit("Payment Started", {"channel": channel})
    if life.uniforms.happens("paid", life.parameters.screen_paid_share):
        life.emit("Payment Completed", {"channel": channel})
        if life.config.outbound and life.uniforms.happens("page", 0.3, 1):
            life.later(5 * DAY_S, "Statement Sent", {"channel": "mail"}, 0.0)
        if channel == "app" and further(life, 0.5):
            life.ask("app", "payment_screen", ("set_up_direct_debit",), 1)
        return 0.15
    life.failures += 1
    if life.uniforms.happens("agent", 0.3):
        life.emit("Agent Requested", {"channel": channel})
        return _call(life, "payment", -0.15)
    life.state.overdue = True
    return -0.12


def ivr_payment(life: Life) -> float:
    """The bank case: most ask for an agent before they try to pay."""
    uniforms, parameters = life.uniforms, life.parameters
    life.emit("IVR Started", {"channel": "ivr"})
    decision_id = life.tip()
    tries_share = parameters.ivr_tries_share if decision_id is None else parameters.tip_tries_share
    tries = uniforms.happens("try", tries_share)
    paid = tries and uniforms.happens("paid", parameters.ivr_paid_share)
    if tries:
        life.emit("IVR Payment Attempted", {"channel": "ivr"})
    if paid:
        life.emit("IVR Payment Completed", {"channel": "ivr"})
    if decision_id is not None:
        life.respond(decision_id, "ivr_payment_tip", "ivr", paid)
    if paid:
        return 0.25
    life.failures += tries
    life.emit("Agent Requested", {"channel": "ivr"})
    return _call(life, "payment", -0.30 if tries else -0.05)


def contact(life: Life) -> float:
    """A call, about what is open or something small."""
    valence = _call(life, life.state.issue or "question", 0.0)
    if valence < 0:
        life.ask("phone", "contact_centre", ("agent_callback",))
    elif further(life, 0.5):
        life.emit("Case Closed", {"channel": "agent_desktop"})
        life.ask("phone", "agent_desktop", ("premium_account",), 1)
    return valence


def branch(life: Life) -> float:
    """A visit to the branch, which usually helps."""
    bad = life.uniforms.happens(
        "resolved", _troubled(life.parameters.branch_bad_share, life.customer)
    )
    reason = life.state.issue or "advice"
    life.emit("Branch Visited", {"channel": "branch", "reason": reason, "resolved": not bad})
    if bad:
        life.failures += 1
        return -0.35
    life.state.issue = None
    if further(life, 0.7):
        life.emit("Advice Given", {"channel": "branch", "topic": reason})
        life.ask("branch", "branch_desk", ("investment_plan",), 1)
    return 0.25


def further(life: Life, share: float) -> bool:
    """The customer views one more page, of a bank that has more pages than before."""
    return life.config.outbound and life.uniforms.happens("page", share)


def _call(life: Life, issue: str, before: float) -> float:
    uniforms, parameters = life.uniforms, life.parameters
    wait_s = round(uniforms.lognormal("wait", parameters.wait_median_s, 0.7))
    announced_s = round(parameters.announced_wait_s)
    resolved = not uniforms.happens(
        "resolved", _troubled(1.0 - parameters.resolved_share, life.customer)
    )
    start = {"channel": "phone", "issue": issue, "announced_wait_s": announced_s}
    life.emit("Contact Started", dict(start))
    ended = {**start, "wait_s": wait_s, "resolved": resolved}
    life.emit("Contact Ended", ended, after_s=wait_s + 200.0)
    life.pay_for_call()
    late = min(max(0.0, wait_s / announced_s - 1.0), 2.0)
    if resolved:
        life.state.issue = None
        life.state.overdue = life.state.overdue and issue != "payment"
        return before + 0.30 - 0.15 * late
    life.failures += 1
    life.state.issue = issue
    life.state.overdue = life.state.overdue or issue == "payment"
    return before - 0.35 - 0.15 * late


def _troubled(share: float, customer: SimulatedCustomer) -> float:
    """The share of failures that this customer meets."""
    if share <= 0.0:
        return share
    return sigmoid(math.log(share / (1.0 - share)) + customer.trouble)


VISITS: Mapping[str, Callable[[Life], float]] = {
    "web_search": web_search,
    "loan_application": loan_application,
    "app_home": app_home,
    "payment": payment,
    "contact": contact,
    "branch": branch,
}
