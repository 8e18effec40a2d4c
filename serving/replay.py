"""Replay: a decision computed again from what it logged, on the parts that it names.

Its catalogue and bundle are taken from the log by their ids, so that it comes out equal whatever
was promoted or published since.
"""

from __future__ import annotations

import msgspec
import numpy as np

from models.bundle import load_bundle
from models.policy import EpsilonGreedy
from models.registry import CHAMPION
from models.scorer import BundleScorer
from nba.context import Context, ContextSchema, contacts_from
from nba.decision import Decision
from nba.errors import NotFound
from nba.pipeline import BLIND, Pipeline
from nba.stores.log import Log
from nba.valences import FILE as VALENCES, ValenceTable, table_from
from serving.catalogue import REMEMBERED, earlier_sub_journeys, stored_journey


def replayed(log: Log, decision: Decision) -> Decision:
    """The decision as the pipeline makes it from the record alone.

    Raises NotFound where the catalogue, the bundle or the valences that it names are not in the
    log; InvalidInput, InvalidBundle, StoreUnavailable.
    """
    journey = stored_journey(log, decision.catalogue_version)
    bundle = None
    if decision.bundle_id is not None:
        stored = log.bundle(decision.bundle_id)
        if stored is None:
            raise NotFound(f"bundle_id: {decision.bundle_id!r}: this bundle is not in the log")
        bundle = load_bundle(stored.files)
    table = bundle.table if bundle is not None else _valences(log, decision.valences)
    schema = ContextSchema(journey, table)
    if schema.schema_hash != decision.context_schema:
        raise NotFound(
            f"context_schema: {decision.context_schema!r}: this program makes "
            f"{schema.schema_hash!r} of the same catalogue and valences; replay with the version "
            "that decided"
        )
    policy = EpsilonGreedy(journey.exploration.epsilon)
    heard = [one for one in earlier_sub_journeys(log) if one.definition() not in decision.unheard]
    pipeline = Pipeline(schema, policy, heard)
    pipeline.words = decision.words
    scorer = BundleScorer(bundle, schema) if bundle is not None else None
    pipeline.take(scorer, decision.note or "")
    context = context_of(decision)
    if decision.policy == BLIND:
        request, note = decision.request, decision.note or ""
        return pipeline.blind(request, context, decision.decision_id, decision.seed, note)
    (again,) = pipeline.run(
        [decision.request],
        [context],
        new_id=lambda: decision.decision_id,
        new_seed=lambda: decision.seed,
        used=pipeline.governor.by_period(decision.used, decision.decided_at),
    )
    return again


def _valences(log: Log, version: str) -> ValenceTable:
    """Those of a fallback, which names no bundle: the priors, or of a bundle that was promoted.

    Raises NotFound, InvalidBundle.
    """
    table = ValenceTable()
    if version == table.version:
        return table
    changes = log.alias_changes(CHAMPION, REMEMBERED)
    for bundle_id in dict.fromkeys(change.after for change in changes):
        stored = log.bundle(bundle_id)
        if stored is not None and VALENCES in stored.files:
            table = table_from(stored.files[VALENCES])
            if table.version == version:
                return table
    raise NotFound(f"valences: {version!r}: no bundle that was promoted has these")


def context_of(decision: Decision) -> Context:
    """The context that a decision was made on."""
    return Context(
        customer_id=decision.request.customer_id,
        as_of=decision.decided_at,
        seq=decision.context_seq,
        known=decision.known_customer,
        values=np.frombuffer(decision.context, dtype="<f8"),
        contacts=contacts_from(decision.contacts),
        nodes=decision.nodes,
        ledger=decision.ledger,
    )


def differences(one: Decision, other: Decision) -> list[str]:
    """The fields in which two decisions differ."""
    return [
        name
        for name in Decision.__struct_fields__
        if msgspec.json.encode(getattr(one, name), order="deterministic")
        != msgspec.json.encode(getattr(other, name), order="deterministic")
    ]
