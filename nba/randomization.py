"""Randomization: whether a customer belongs to a share of all customers, by a salted hash."""

from __future__ import annotations

import hashlib

HOLDOUT = "holdout"  # the salt of those whom nothing but transactional actions reach
RANDOM_SLICE = "random_slice"  # the salt of those for whom every draw is uniform


def position(salt: str, customer_id: str) -> float:
    """A number in [0, 1) made of the two alone, uniform, and independent between salts.

    >>> 0.0 <= position("holdout:onboarding", "ada") < 1.0
    True
    """
    digest = hashlib.blake2b(f"{salt}|{customer_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def in_share(salt: str, share: float, customer_id: str) -> bool:
    """Whether the customer belongs to the first `share` (0 to 1) of all customers under `salt`."""
    return share > 0.0 and position(salt, customer_id) < share
