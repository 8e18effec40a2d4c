"""Snapshots, bundles and aliases in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg import errors

from nba.errors import NotFound
from nba.stores.acceptance import unsaved_bundle
from nba.stores.log import AliasChange, Snapshot, StoredBundle
from nba.stores.postgres import sql
from nba.stores.postgres.events import PostgresTables


class PostgresArtifacts(PostgresTables):
    """What is kept beside the log under its name."""

    def snapshots(self, customer_ids: Sequence[str], kernel: str) -> dict[str, Snapshot]:
        """As `Log.snapshots`."""
        rows = self._rows(sql.SNAPSHOTS, list(customer_ids), kernel) if customer_ids else []
        return {
            customer_id: Snapshot(
                customer_id=customer_id,
                kernel=kernel,
                seq=seq,
                state=state,
                contact_history=contact_history,
            )
            for customer_id, seq, state, contact_history in rows
        }

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """As `Log.save_snapshots`."""
        newest: dict[tuple[str, str], Snapshot] = {}
        for snapshot in snapshots:
            key = (snapshot.customer_id, snapshot.kernel)
            present = newest.get(key)
            if present is None or snapshot.seq >= present.seq:
                newest[key] = snapshot
        if newest:
            # In one order everywhere, so that two callers cannot each wait for the other's row.
            ordered = [newest[key] for key in sorted(newest)]
            rows = [(s.customer_id, s.kernel, s.seq, s.state, s.contact_history) for s in ordered]
            with self._connections.transaction() as connection:
                connection.execute(sql.WITHOUT_WAITING)
                connection.execute(
                    sql.SAVE_SNAPSHOTS, [list(column) for column in zip(*rows, strict=True)]
                )

    def save_bundle(self, bundle_id: str, files: Mapping[str, bytes]) -> None:
        """As `Log.save_bundle`."""
        with self._connections.transaction() as connection:
            if connection.execute(sql.SAVE_BUNDLE, (bundle_id,)).rowcount:
                rows = [(bundle_id, name, content) for name, content in files.items()]
                connection.cursor().executemany(sql.SAVE_BUNDLE_FILE, rows)

    def bundle(self, bundle_id: str) -> StoredBundle | None:
        """As `Log.bundle`."""
        rows = self._rows(sql.BUNDLE, bundle_id)
        if not rows:
            return None
        files = {name: content for _, name, content in rows if name is not None}
        return StoredBundle(bundle_id=bundle_id, files=files)

    def strip_bundles(self, bundle_ids: Sequence[str]) -> None:
        """As `Log.strip_bundles`."""
        if bundle_ids:
            with self._connections.transaction() as connection:
                connection.execute(sql.LOCK_ALIASES)
                connection.execute(sql.STRIP_BUNDLES, (list(bundle_ids),))

    def set_alias(
        self, alias: str, bundle_id: str, at: datetime, *, by: str = "", why: str = ""
    ) -> None:
        """As `Log.set_alias`."""
        change = {"alias": alias, "bundle": bundle_id, "at": at, "by": by, "why": why}
        try:
            with self._connections.transaction() as connection:
                connection.execute(sql.LOCK_ALIASES)
                connection.execute(sql.SET_ALIAS, change)
        except errors.ForeignKeyViolation:
            raise NotFound(unsaved_bundle(alias, bundle_id)) from None

    def alias(self, alias: str) -> str | None:
        """As `Log.alias`."""
        rows = self._rows(sql.ALIAS, alias)
        return rows[0][0] if rows else None

    def alias_changes(self, alias: str, limit: int = 20) -> list[AliasChange]:
        """As `Log.alias_changes`."""
        return [
            AliasChange(alias=name, before=before, after=after, at=at, by=by, why=why)
            for name, before, after, at, by, why in self._rows(sql.ALIAS_CHANGES, alias, limit)
        ]
