"""One signed POST for each outbound decision, and what its answer means.

Its body is the decision's `message`, a JSON object; its headers are

    Idempotency-Key   the decision's id: the same over all attempts, so that a receiver who has
                      seen it before does nothing and answers as before
    Nba-Timestamp     seconds since 1970 UTC, of this attempt
    Nba-Signature     v1=<hex HMAC-SHA256 of "<timestamp>.<body>" under the shared secret>

2xx has arrived; the answer may name a receipt, as {"receipt": "..."} or in the header
Nba-Receipt. 408, 409, 425, 429, any 5xx and no answer at all are tried again, and not before
Retry-After. Everything else, 410 and redirects among it, is dead at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Literal

import msgspec

from nba.decisions.decision import Decision
from nba.durations import DAY_S
from nba.errors import InvalidInput
from nba.events.parsing import MAX_ID_CHARS
from serving.settings import Settings

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 10.0  # for the whole of one attempt
LONGEST_RETRY_AFTER_S = DAY_S
MAX_ANSWER_BYTES = 65_536  # what is read of an answer
AGAIN = frozenset({408, 409, 425, 429})  # beside 5xx


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where messages go, and how hard it is tried."""

    url: str | None  # None in a dry run only
    secret: str | None
    attempts: int
    dry_run: bool = False
    timeout_s: float = TIMEOUT_S

    def __repr__(self) -> str:
        return f"Webhook(attempts={self.attempts}, dry_run={self.dry_run})"


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one attempt."""

    kind: Literal["arrived", "again", "later", "dead"]
    why: str = ""
    receipt: str | None = None  # the receiver's own id for the message
    retry_after_s: float = 0.0
    until: datetime | None = None  # of `later`: nothing was sent, and nothing is before then


def webhook_of(settings: Settings) -> Webhook | None:
    """The webhook of these settings, None where nothing is to be sent.

    Raises InvalidInput for a URL without a secret: what is not signed, anybody could send.
    """
    if settings.webhook_url is None and not settings.webhook_dry_run:
        return None
    if settings.webhook_secret is None and not settings.webhook_dry_run:
        remedy = "set it to the secret that the receiver checks signatures with"
        raise InvalidInput("NBA_WEBHOOK_SECRET", None, remedy)
    return Webhook(
        url=settings.webhook_url,
        secret=settings.webhook_secret,
        attempts=settings.webhook_attempts,
        dry_run=settings.webhook_dry_run,
    )


def message(decision: Decision) -> bytes:
    """The body of the POST."""
    request = decision.request
    return msgspec.json.encode(
        {
            "decision_id": decision.decision_id,
            "customer_id": request.customer_id,
            "action_id": decision.action_id,
            "treatment": decision.treatment,
            "channel": request.channel,
            "placement": request.placement,
            "step": decision.step or None,
            **({} if decision.key is None else {"key": decision.key}),
            "decided_at": decision.decided_at,
            "not_before": decision.not_before,
        }
    )


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of Nba-Signature, for the body as it is sent.

    >>> signature("key", "1767225600", b"{}")[:19]
    'v1=df344de429b8ee67'
    """
    signed = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def verdict_of(
    status: int, retry_after: str | None, body: bytes, receipt: str | None, now: datetime
) -> DeliveryAttempt:
    """What an answer means; `receipt`: of the answer's Nba-Receipt header."""
    if 200 <= status < 300:
        return DeliveryAttempt(kind="arrived", receipt=_receipt(body, receipt))
    why = f"answered {status}"
    if status in AGAIN or status >= 500:
        return DeliveryAttempt(kind="again", why=why, retry_after_s=_seconds(retry_after, now))
    return DeliveryAttempt(kind="dead", why=why)


async def send(
    webhook: Webhook, decisions: Sequence[Decision], now: datetime
) -> list[DeliveryAttempt]:
    """What came of one POST for each decision, all at the same time."""
    import httpx

    async with httpx.AsyncClient(verify=_trust(), timeout=webhook.timeout_s) as client:
        return await asyncio.gather(
            *(_post(client, webhook, decision, now) for decision in decisions)
        )


async def _post(
    client: httpx.AsyncClient, webhook: Webhook, decision: Decision, now: datetime
) -> DeliveryAttempt:
    import httpx

    assert webhook.url is not None and webhook.secret is not None
    body, timestamp = message(decision), str(int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": decision.decision_id,
        "Nba-Timestamp": timestamp,
        "Nba-Signature": signature(webhook.secret, timestamp, body),
    }
    try:
        async with (
            asyncio.timeout(webhook.timeout_s),
            client.stream("POST", webhook.url, content=body, headers=headers) as response,
        ):
            answer = b""
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    break
    except (TimeoutError, httpx.TimeoutException):
        return DeliveryAttempt(kind="again", why=f"no answer within {webhook.timeout_s:g} s")
    except Exception as error:  # whatever it is, the others of this call are sent and settled
        # Not its message, which may hold the URL, and that a password.
        return DeliveryAttempt(kind="again", why=f"no answer: {type(error).__name__}")
    headers_back = response.headers
    return verdict_of(
        response.status_code,
        headers_back.get("Retry-After"),
        answer,
        headers_back.get("Nba-Receipt"),
        now,
    )


@cache
def _trust() -> ssl.SSLContext:
    """Made once: it reads every certificate of the system."""
    import httpx

    return httpx.create_ssl_context()


def _receipt(body: bytes, header: str | None) -> str | None:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = None
    named = answer.get("receipt") if isinstance(answer, dict) else None
    receipt = named if isinstance(named, str) else header
    if receipt is None or not 0 < len(receipt) <= MAX_ID_CHARS or not receipt.isprintable():
        return None
    return receipt


def _seconds(retry_after: str | None, now: datetime) -> float:
    """Of a Retry-After in seconds or as a date, at most a day; 0 where it cannot be read."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)
