"""Gates that a challenger must pass before it becomes the champion, each with its numbers.

A verdict is kept under the hash of its content, so that a promotion can name the one that let it
through.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from nba.content_ids import content_id
from nba.measurement.statistics.estimate import Undecided

VERDICT_JSON, VERDICT_MD = "verdict.json", "verdict.md"


class Status(StrEnum):
    """What a gate says."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One gate with its numbers; `reason` is a sentence, whatever the status."""

    name: str
    status: Status
    reason: str
    numbers: dict[str, float] = {}


class GateVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """All gates over one bundle, in their order."""

    bundle_id: str
    champion: str | None  # None: there was none
    judged_at: datetime
    gates: tuple[Gate, ...]

    @property
    def status(self) -> Status:
        """Failed where one gate is, else undecided where one is."""
        present = {gate.status for gate in self.gates}
        return next((s for s in (Status.FAILED, Status.UNDECIDED) if s in present), Status.PASSED)

    @property
    def blocking(self) -> tuple[Gate, ...]:
        """The gates that keep the champion where it is.

        Before the first champion there is little that a gate can rest on, and nothing to lose but
        the fallback: what cannot be decided does not block it, what fails does.
        """
        allowed = {Status.PASSED} if self.champion else {Status.PASSED, Status.UNDECIDED}
        return tuple(gate for gate in self.gates if gate.status not in allowed)

    @property
    def verdict_id(self) -> str:
        """By its content."""
        return content_id("verdict", self.to_json())

    def summary(self) -> str:
        """One line, as the audit trail keeps it."""
        statuses = ", ".join(f"{gate.name} {gate.status}" for gate in self.gates)
        return f"{self.verdict_id}: {statuses}"

    def to_json(self) -> bytes:
        """The same verdict gives the same bytes."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=1)

    def to_markdown(self) -> str:
        """For a person."""
        against = f"`{self.champion}`" if self.champion else "nothing: there is no champion yet"
        lines = [
            f"# {self.bundle_id}: {self.status}",
            "",
            f"Judged at {self.judged_at:%F %R} UTC against {against}.",
            "",
            "| gate | verdict | why |",
            "|---|---|---|",
            *(f"| {gate.name} | {gate.status} | {gate.reason} |" for gate in self.gates),
        ]
        for gate in self.gates:
            if gate.numbers:
                lines += ["", f"## {gate.name}", "", "| number | value |", "|---|---|"]
                lines += [f"| {name} | {value:.6g} |" for name, value in gate.numbers.items()]
        return "\n".join(lines) + "\n"

    def files(self) -> dict[str, bytes]:
        """As it is kept in the log and in MLflow."""
        return {VERDICT_JSON: self.to_json(), VERDICT_MD: self.to_markdown().encode()}


def passed(name: str, reason: str, numbers: Mapping[str, float] | None = None) -> Gate:
    """It holds."""
    return Gate(name=name, status=Status.PASSED, reason=reason, numbers=dict(numbers or {}))


def failed(name: str, reason: str, numbers: Mapping[str, float] | None = None) -> Gate:
    """It does not hold."""
    return Gate(name=name, status=Status.FAILED, reason=reason, numbers=dict(numbers or {}))


def undecided(
    name: str, reason: str | Undecided, numbers: Mapping[str, float] | None = None
) -> Gate:
    """Nobody can say."""
    why = reason.reason if isinstance(reason, Undecided) else reason
    return Gate(name=name, status=Status.UNDECIDED, reason=why, numbers=dict(numbers or {}))


def gathered(
    name: str,
    failures: list[str],
    unknown: list[str],
    numbers: Mapping[str, float],
    reason: str,
) -> Gate:
    """A gate of several parts: failed where one is, else undecided where one is."""
    if failures:
        return failed(name, "; ".join(failures), numbers)
    if unknown:
        return undecided(name, "; ".join(unknown), numbers)
    return passed(name, reason, numbers)
