"""Ids made of content: the same content has the same id everywhere, and changed content another."""

from __future__ import annotations

import hashlib


def content_id(kind: str, content: bytes) -> str:
    """`<kind>-` and the first 16 hexadecimal digits of the content's SHA-256."""
    return f"{kind}-{hashlib.sha256(content).hexdigest()[:16]}"
