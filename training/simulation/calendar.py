"""One customer's calendar: planned visits, follow-ups, surveys, and the end."""

from __future__ import annotations

import numpy as np

from training.simulation.config import DAY_S, HOUR_S, SimulatedPolicy, WorldConfig, WorldParameters
from training.simulation.customers import (
    GOALS,
    UNIFORMS_WIDTH,
    VisitUniforms,
    closing_probability,
    draw_customer,
    sigmoid,
)
from training.simulation.life import Life, VisitTruth
from training.simulation.outbound import Outbound, later_stream, visit_uniforms
from training.simulation.visits import VISITS, kind_of_visit

_HOURS = ((0, 1), (7, 3), (9, 8), (12, 9), (14, 7), (17, 9), (19, 10), (21, 6), (23, 2))
_HOUR_NAMES = tuple((str(hour), float(weight)) for hour, weight in _HOURS)


class CustomerCalendar:
    """One customer's calendar: planned visits, follow-ups, surveys, and the end."""

    def __init__(
        self,
        index: int,
        parameters: WorldParameters,
        config: WorldConfig,
        policy: SimulatedPolicy,
        log_decisions: bool,
    ) -> None:
        customer = draw_customer(index, parameters, config)
        self.life = Life(customer, parameters, config, policy, log_decisions=log_decisions)
        self.felt: list[VisitTruth] = []
        self.over = False
        self._looked_at_leaving = False
        self._end_s = config.days * DAY_S
        self._closing_s: float | None = None
        self._planned_s = 0.0
        self._rng = np.random.Generator(np.random.Philox(key=(config.seed << 64) + 2 * index + 1))
        self._more_rng = later_stream(config.seed, index)
        self._outbound = Outbound(self.life, config.seed, index)
        self._first = self._draw()
        self._next_visit_s = 60.0 + self._first.uniform("clock") * 3 * HOUR_S
        self._introduced = False

    @property
    def next_s(self) -> float:
        """When they come, or the bank writes, whichever is first."""
        if not self._introduced:
            return self._next_visit_s
        return min(self._next_visit_s, self._outbound.next_s)

    def turn(self) -> None:
        """Live through the next planned visit and what follows from it, or an outbound moment."""
        if not self._introduced:
            self._introduce()
            return
        if self._outbound.next_s < self._next_visit_s:
            if max(self._outbound.next_s, self.life.now_s) >= self._gone_s():
                self._finish()
                return
            self._outbound.live()
            self._reconsider()
            return
        uniforms, follow_uniforms, later_uniforms = self._draw(), self._draw(), self._draw_later()
        if uniforms.happens("goal", 0.08):
            self.life.goal = uniforms.pick("new_goal", GOALS)
        if self._next_visit_s >= self._end_s or not self._visit_planned(uniforms):
            self._finish()
            return
        self._occasions(uniforms, later_uniforms)
        if self.life.state.issue is not None and uniforms.happens("follow", 0.45):
            follow_s = self.life.now_s + uniforms.lognormal("follow_gap", 0.5 * DAY_S, 1.0)
            kind = "contact" if uniforms.uniform("follow_kind") < 0.85 else "branch"
            if not self._visit(kind, follow_s, follow_uniforms):
                self._finish()
                return
        self._plan(uniforms)

    def _introduce(self) -> None:
        life, customer = self.life, self.life.customer
        self._introduced = True
        life.begin(self.next_s, self._first)
        traits: dict[str, object] = {
            "segment": customer.segment,
            "age": customer.age,
            "tenure_months": customer.tenure_months,
            "monthly_income_eur": customer.monthly_income_eur,
            "has_mortgage": customer.has_mortgage,
        }
        if customer.time_zone:
            traits["time_zone"] = customer.time_zone
        life.emit("identify", traits, 0.0)
        if customer.newcomer:
            life.emit("Account Opened", {"channel": "branch", "product": "current"}, 0.0)
            life.later(3.0 * DAY_S, "Card Sent", {"channel": "mail"}, 0.0)
            life.later(6.0 * DAY_S, "App Set Up", {"channel": "app"}, 0.0)
            for which, day in enumerate((2.0, 8.0, 15.0)):
                self._outbound.occasion("welcome", day * DAY_S, self._draw_later(), which)
        if customer.consents:
            life.emit("Consent Given", {"purpose": "marketing"}, 0.0)
            if "phone" not in customer.consents:
                no_calls: dict[str, object] = {"purpose": "marketing", "channel": "phone"}
                life.emit("Consent Withdrawn", no_calls, 0.0)
        self._planned_s = self._next_visit_s
        self._plan(self._first)

    def _occasions(self, uniforms: VisitUniforms, later_uniforms: VisitUniforms) -> None:
        """What gives the bank, or the customer, a reason to do something after this visit."""
        life, outbound = self.life, self._outbound
        if life.state.consents and uniforms.happens("consent", 0.004):
            life.emit("Consent Withdrawn", {"purpose": "marketing"}, 60.0)
            life.state.consents = set()
        if life.customer.drives and uniforms.happens("partner", 0.03):
            life.emit("Dealer Quote Requested", {"channel": "partner", "product": "car"}, 5_400.0)
            outbound.occasion("dealer", life.now_s + DAY_S, later_uniforms)
            return
        after_s = life.now_s + DAY_S * (0.7 + 1.5 * uniforms.uniform("trigger_gap"))
        if life.state.overdue:
            outbound.occasion("overdue", after_s, later_uniforms)
        elif self._looked_at_leaving:
            outbound.occasion("leaving", after_s, later_uniforms)
        elif self.felt and self.felt[-1].valence < -0.3 and uniforms.happens("trigger", 0.5):
            outbound.occasion("bad_day", after_s, later_uniforms)
        self._looked_at_leaving = False

    def _reconsider(self) -> None:
        """They stay, where something has talked them out of leaving."""
        if self._closing_s is not None and not self.life.leaving:
            self._closing_s = None

    def _gone_s(self) -> float:
        return self._end_s if self._closing_s is None else min(self._closing_s, self._end_s)

    def _plan(self, uniforms: VisitUniforms) -> None:
        """The next planned visit: log-normal gap, at an hour of the day people choose."""
        gap_s = uniforms.lognormal("gap", self.life.customer.gap_days * DAY_S, 0.9)
        self._planned_s += max(gap_s, 0.2 * DAY_S)
        if gap_s > 0.5 * DAY_S:
            hour = float(uniforms.pick("clock", _HOUR_NAMES)) + uniforms.uniform("minute")
            self._planned_s = self._planned_s // DAY_S * DAY_S + hour * HOUR_S
        if uniforms.happens("dormant", 0.02):
            if self.life.config.outbound:
                quiet_s = self.life.now_s + 24.0 * DAY_S
                self._outbound.occasion("dormant", quiet_s, self._draw_later())
            self._planned_s += DAY_S * (28.0 + 20.0 * uniforms.uniform("dormant_days"))
        self._next_visit_s = self._planned_s = max(self._planned_s, self.life.now_s + HOUR_S)

    def _visit_planned(self, uniforms: VisitUniforms) -> bool:
        kind = kind_of_visit(self.life.goal, self.life.customer.segment, uniforms)
        if kind == "payment":
            notice_s = self._next_visit_s - HOUR_S * (1.0 + 20.0 * uniforms.uniform("notice"))
            if self._closing_s is None:
                self.life.begin(max(notice_s, self.life.now_s + 60.0), uniforms)
                self.life.emit("Payment Notice Sent", {"channel": "mail"}, 0.0)
        return self._visit(kind, self._next_visit_s, uniforms)

    def _visit(self, kind: str, at_s: float, uniforms: VisitUniforms) -> bool:
        """One visit; False where the customer is gone before it."""
        at_s = max(at_s, self.life.now_s + 60.0)
        if at_s >= self._end_s or (self._closing_s is not None and at_s >= self._closing_s):
            return False
        if self._closing_s is not None:
            self._prepare_to_leave(at_s, uniforms)
            self._reconsider()
            return True
        life = self.life
        life.begin(at_s, uniforms)
        life.last_visit_s = at_s
        valence = min(max(VISITS[kind](life), -1.0), 1.0)
        memory_noise = life.parameters.emotion_noise * uniforms.normal("noise")
        life.state.feel(valence, life.customer, memory_noise)
        self.felt.append(VisitTruth(life.moment(), kind, valence, life.state.emotion))
        self._show_feelings(kind, valence, uniforms)
        self._maybe_leave(uniforms)
        return True

    def _show_feelings(self, kind: str, valence: float, uniforms: VisitUniforms) -> None:
        """What emotion looks like from outside: rage clicks, complaints, surveys; all noisy."""
        life, emotion = self.life, self.life.state.emotion
        digital = kind in ("web_search", "loan_application", "app_home")
        rage = life.parameters.rage_false_share + 0.30 * sigmoid(-2.0 * (emotion + 1.5))
        if digital and uniforms.happens("rage", rage):
            channel = "app" if kind == "app_home" else "web"
            life.emit("Rage Click", {"channel": channel, "page": kind})
        if valence < 0 and uniforms.happens("complaint", 0.30 * sigmoid(-2.0 * (emotion + 1.8))):
            topic = life.state.issue or kind
            life.emit("Complaint Filed", {"channel": "web", "topic": topic}, 1_200.0)
        if uniforms.happens("leaving", 0.005 + 0.08 * sigmoid(-2.0 * (emotion + 2.0))):
            life.emit("Closing Info Viewed", {"channel": "web"}, 400.0)
            self._ask_to_stay()
        if uniforms.happens("survey", 0.25 if kind == "contact" else 0.06):
            life.emit("Survey Sent", {"channel": "mail", "kind": "nps"}, 900.0)
            if uniforms.happens("answer", 0.10 + 0.10 * min(abs(emotion), 2.0)):
                score = round(min(max(7.8 + 1.5 * emotion + 1.2 * uniforms.normal("score"), 0), 10))
                delay_s = uniforms.lognormal("answer_delay", 5 * HOUR_S, 1.0)
                properties: dict[str, object] = {"channel": "mail", "kind": "nps", "score": score}
                life.later(delay_s, "Survey Answered", properties, 0.0)

    def _maybe_leave(self, uniforms: VisitUniforms) -> None:
        life = self.life
        chance = closing_probability(
            life.customer, life.state, life.strain(), life.parameters, life.config
        )
        if uniforms.happens("closing", chance):
            self._closing_s = life.now_s + DAY_S * (1.0 + 24.0 * uniforms.uniform("closing_delay"))
            life.leaving = True

    def _prepare_to_leave(self, at_s: float, uniforms: VisitUniforms) -> None:
        """They have decided: of their usual visits only a look at how to leave remains."""
        if uniforms.happens("leaving", 0.7):
            self.life.begin(at_s, uniforms)
            self.life.emit("Closing Info Viewed", {"channel": "web"})
            self._ask_to_stay()

    def _ask_to_stay(self) -> None:
        self._looked_at_leaving = True
        if self.life.config.outbound:
            self.life.ask("web", "closing_page", ("retention_rate",), 3)

    def _finish(self) -> None:
        """What is still due happens; then the account is closed, or the observation ends."""
        self.over = True
        life = self.life
        if self._closing_s is None or self._closing_s >= self._end_s:
            life.pass_time(self._end_s)
            return
        life.pass_time(self._closing_s)
        life.now_s = max(life.now_s, self._closing_s)
        life.emit("Account Closed", {"channel": "web"}, 0.0)
        life.value_eur -= life.customer.closing_loss_eur
        life.closed = True

    def _draw(self) -> VisitUniforms:
        return visit_uniforms(self._rng, self._more_rng)

    def _draw_later(self) -> VisitUniforms:
        return VisitUniforms(self._more_rng.random(UNIFORMS_WIDTH).tolist())
