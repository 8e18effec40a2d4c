"""Randomization: shares of customers and seeds of draws, by hashes salted by what is decided.

One seed serves many decisions. Each draw gets a seed of its own from it and from the names of what
is drawn: the same thing is drawn the same on every worker and after every restart, and different
things are independent.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

HOLDOUT = "holdout"  # the salt of those whom nothing but transactional actions reach
RANDOM_SLICE = "random_slice"  # the salt of those for whom every draw is uniform


def position(salt: str, customer_id: str) -> float:
    """A number in [0, 1) made of the two alone, uniform, and independent between salts.

    >>> 0.0 <= position("holdout:onboarding", "ada") < 1.0
    True
    """
    digest = hashlib.blake2b(f"{salt}|{customer_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def seed_of(seed: int, *what: str | int) -> int:
    """The seed of one draw, 0 to 2^48 - 1: what `seed` means for the thing with these names.

    >>> seed_of(7, "draw", "ada") == seed_of(7, "draw", "ada") != seed_of(7, "draw", "bob")
    True
    """
    return int.from_bytes(_digest(seed, what, size=6), "big")


def generator(seed: int, *what: str | int) -> np.random.Generator:
    """A generator that `seed` gives for the thing with these names alone."""
    return np.random.default_rng(int.from_bytes(_digest(seed, what, size=16), "big"))


def _digest(seed: int, what: tuple[str | int, ...], *, size: int) -> bytes:
    names = json.dumps([seed, *what], separators=(",", ":"))
    return hashlib.blake2b(names.encode(), digest_size=size).digest()


def in_share(salt: str, share: float, customer_id: str) -> bool:
    """Whether the customer belongs to the first `share` (0 to 1) of all customers under `salt`."""
    return share > 0.0 and position(salt, customer_id) < share
