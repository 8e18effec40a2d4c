"""A decision computed again from what it logged, on the parts that it names.

Its catalogue and bundle are taken from the log by their ids, so that it comes out equal whatever
was promoted or published since.
"""

from __future__ import annotations

import msgspec

from models.bundles.bundle import Bundle, load_bundle
from models.learning.scorers import challenger_then, scorer_then
from models.policies.from_journey import strategy_of
from nba.customer.context import ContextSchema
from nba.decisions.decision import Decision
from nba.engine.pipeline import BLIND, make_pipeline
from nba.engine.redecision import context_of
from nba.engine.strategy import Challenger, SameArm
from nba.errors import NotFound
from nba.events.valences import VALENCES_FILE, ValenceTable, valences_from_json
from nba.promotion.catalogue_versions import earlier_sub_journeys, stored_journey
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION, REMEMBERED


def replayed(log: Log, decision: Decision) -> Decision:
    """The decision as the pipeline makes it from the record alone.

    Raises NotFound where the catalogue, the bundle or the valences that it names are not in the
    log; InvalidInput, InvalidBundle, StoreUnavailable.
    """
    journey = stored_journey(log, decision.catalogue_version)
    bundle = None if decision.bundle_id is None else _named(log, decision.bundle_id)
    table = bundle.table if bundle is not None else _valences(log, decision.valences)
    schema = ContextSchema(journey, table)
    if schema.schema_hash != decision.context_schema:
        raise NotFound(
            f"context_schema: {decision.context_schema!r}: this program makes "
            f"{schema.schema_hash!r} of the same catalogue and valences; replay with the version "
            "that decided"
        )
    scorer = challenger = None
    if bundle is not None:
        scorer = scorer_then(log, bundle, decision.policy_version, schema)
        if decision.challenger is not None:
            rival = challenger_then(_named(log, decision.challenger), schema)
            challenger = Challenger(rival, decision.exploration.challenger_share)
    strategy = strategy_of(journey, scorer, exploration=decision.exploration)
    pipeline = make_pipeline(
        schema,
        strategy._replace(fallback_reason=decision.note or "", challenger=challenger),
        [
            definition
            for definition in earlier_sub_journeys(log)
            if definition.definition() not in decision.unknown_definitions
        ],
        arms=SameArm(decision.arms, frozenset(decision.dropped_rules)),
        text_model=decision.text_model,
    )
    context = context_of(decision)
    if decision.policy == BLIND:
        request, note = decision.request, decision.note or ""
        again = pipeline.blind(request, context, decision.decision_id, decision.seed, note)
        return msgspec.structs.replace(again, mode=decision.mode)  # once `shadow` beside a system
    (again,) = pipeline.run(
        [decision.request],
        [context],
        new_id=lambda: decision.decision_id,
        new_seed=lambda: decision.seed,
        used=pipeline.governor.by_period(decision.used, decision.decided_at),
    )
    return again


def _named(log: Log, bundle_id: str) -> Bundle:
    """The bundle that a decision names. Raises NotFound, InvalidBundle."""
    stored = log.bundle(bundle_id)
    if stored is None:
        raise NotFound(f"bundle_id: {bundle_id!r}: this bundle is not in the log")
    return load_bundle(stored.files)


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
        if stored is not None and VALENCES_FILE in stored.files:
            table = valences_from_json(stored.files[VALENCES_FILE])
            if table.version == version:
                return table
    raise NotFound(f"valences: {version!r}: no bundle that was promoted has these")


def differences(before: Decision, after: Decision) -> list[str]:
    """The fields in which two decisions differ, as they are stored."""
    return [
        stored_name
        for name, stored_name in zip(
            Decision.__struct_fields__, Decision.__struct_encode_fields__, strict=True
        )
        if _stored(getattr(before, name)) != _stored(getattr(after, name))
    ]


def _stored(value: object) -> bytes:
    """As it is stored; reasons of before 2026-12 hold what is not ASCII as its escapes."""
    text = msgspec.json.encode(value, order="deterministic").decode()
    return text.encode("ascii", "backslashreplace").replace(b"\\\\", b"\\")
