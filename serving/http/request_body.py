"""The body of a request, read to its limit."""

from __future__ import annotations

from starlette.requests import Request

# some SDKs, and curl -d, declare their JSON as something else
JSON_TYPES = ("application/json", "text/plain", "application/x-www-form-urlencoded")


class BodyTooLarge(Exception):
    """The body is larger than NBA_BODY_BYTES (HTTP 413)."""


class NotJson(Exception):
    """The body is declared as something else than JSON (HTTP 415)."""


async def read_body(request: Request, most: int) -> bytes:
    """The whole body, of at most `most` bytes, however it is sent.

    Raises NotJson, BodyTooLarge.
    """
    kind = request.headers.get("content-type", JSON_TYPES[0]).split(";")[0].strip()
    if kind.lower() not in JSON_TYPES:
        raise NotJson
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BodyTooLarge(most)
    return bytes(body)
