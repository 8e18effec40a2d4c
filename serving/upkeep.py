"""Upkeep: what a replica does beside its requests: take up what was promoted, conduct, deliver."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import numpy as np

from nba.errors import StoreUnavailable
from serving.conductor import Conductor
from serving.delivery import Courier
from serving.house import House
from serving.settings import Settings
from serving.webhook import webhook_of

logger = logging.getLogger("nba.serving")


class Upkeep:
    """Runs from `open` to `close`; `changed` is told after every look at the aliases."""

    def __init__(self, house: House, settings: Settings, changed: Callable[[], None]) -> None:
        """Raises InvalidInput for a webhook without a secret."""
        self._house = house
        self._reload_s = settings.reload_s
        self._changed = changed
        self._watch: asyncio.Task[None] | None = None
        self._conductor = Conductor(house.log, house.attend, _courier(house, settings), house.now)

    async def open(self) -> None:
        """Start it."""
        await asyncio.to_thread(self._conductor.start)
        self._watch = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop behind what is under way."""
        if self._watch is None:
            return
        self._watch.cancel()
        await asyncio.to_thread(self._conductor.stop)

    async def _look(self) -> None:
        house = self._house
        while True:
            await asyncio.sleep(self._reload_s)
            try:
                if await asyncio.to_thread(house.reload):
                    version = house.journey.catalogue_version()
                    logger.info("champion is now %s, catalogue %s", house.champion, version)
            except StoreUnavailable as error:
                logger.warning("cannot look for what was promoted: %s", error)
            self._changed()


def _courier(house: House, settings: Settings) -> Callable[[datetime], int]:
    webhook = webhook_of(settings)
    if webhook is None:
        return lambda now: 0
    rng = np.random.default_rng(settings.seed)  # of the jitter alone; none: entropy
    return Courier(house.log, webhook, rng, house.objection)
