"""The statements of `PostgresLog`.

A statement takes its rows as one JSON text, which `msgspec` writes in C and PostgreSQL reads in C;
arrays of texts cost the driver several times that. Each probe is written as a scalar or LATERAL
subquery, so that its plan can only be one index lookup per row.
"""

# Appends take turns, in this one lock of the database. A seq is drawn from the sequence before
# its row is visible; without the turns, 8 could be visible while 7 is still to come, and a reader
# who had gone on to 8 would never meet 7. PostgreSQL releases the lock after the rows are visible
# to others, so the order of seq is the order of commit. Turns cost little: they are as short as
# one commit, and callers put many events into each.
# It is a statement of its own because a statement sees what was committed before it began, and
# that must be after the wait.
TAKE_TURN = "SELECT pg_advisory_xact_lock(7233121)"  # "nba" in bytes, as a number

_EVENT = "e.seq, e.event_id, e.customer_id, e.name, e.occurred_at, e.received_at, e.properties"

# The sequence is read after the sort, so that seq follows the order of the call. A conflict can
# only be with an id that is already there: nobody else appends during our turn.
INSERT_EVENTS = """
INSERT INTO events
    (event_id, customer_id, name, occurred_at, received_at, decision_id, properties)
SELECT event_id, customer_id, name, occurred_at, received_at, decision_id, properties
FROM ROWS FROM (json_to_recordset(%s::json) AS (
        event_id text, customer_id text, name text, occurred_at timestamptz,
        received_at timestamptz, decision_id text, properties json)) WITH ORDINALITY
    AS new(event_id, customer_id, name, occurred_at, received_at, decision_id, properties, nth)
ORDER BY nth
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id, seq
"""

# The events come first: `Action Decided` is the last of its decision's. A move that the log holds
# already is not appended again; an id of `Action Decided` is known to be free.
INSERT_DECISIONS = """
WITH logged AS (
    INSERT INTO events
        (event_id, customer_id, name, occurred_at, received_at, decision_id, properties)
    SELECT event_id, customer_id, name, occurred_at, received_at, decision_id, properties
    FROM ROWS FROM (json_to_recordset(%s::json) AS (
            event_id text, customer_id text, name text, occurred_at timestamptz,
            received_at timestamptz, decision_id text, properties json)) WITH ORDINALITY
        AS new(event_id, customer_id, name, occurred_at, received_at, decision_id, properties, nth)
    ORDER BY nth
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id, seq
)
INSERT INTO decisions (decision_id, seq, customer_id, request_id, decided_at, record)
SELECT decision_id, seq, customer_id, request_id, decided_at, record
FROM json_to_recordset(%s::json) AS new(
    event_id text, decision_id text, customer_id text, request_id text, decided_at timestamptz,
    record json) JOIN logged USING (event_id)
"""

# Per append: the customer's last seq, the earlier decision, whether its id is taken.
APPEND_STATES = """
SELECT coalesce((SELECT max(e.seq) FROM events e WHERE e.customer_id = wanted.customer_id), 0),
       coalesce((SELECT d.record::text FROM decisions d
                 WHERE d.customer_id = wanted.customer_id AND d.request_id = wanted.request_id),
                (SELECT d.record::text FROM decisions d
                 WHERE d.decision_id = wanted.decision_id AND d.customer_id = wanted.customer_id)),
       (SELECT e.seq FROM events e WHERE e.event_id = wanted.event_id) IS NOT NULL
FROM ROWS FROM (json_to_recordset(%s::json) AS (
        event_id text, customer_id text, decision_id text, request_id text)) WITH ORDINALITY
    AS wanted(event_id, customer_id, decision_id, request_id, nth)
ORDER BY nth
"""

# OFFSET 0 keeps the planner from turning the subquery into a join over the whole table.
EVENTS_SINCE = f"""
SELECT e.* FROM json_each_text(%s::json) AS wanted(customer_id, after), LATERAL (
    SELECT {_EVENT} FROM events e
    WHERE e.customer_id = wanted.customer_id AND e.seq > wanted.after::bigint OFFSET 0
) AS e ORDER BY e.seq
"""

EVENTS_FROM = f"""
SELECT e.* FROM json_each_text(%s::json) AS wanted(customer_id, moment), LATERAL (
    SELECT {_EVENT} FROM events e
    WHERE e.customer_id = wanted.customer_id AND e.occurred_at >= wanted.moment::timestamptz
    OFFSET 0
) AS e ORDER BY e.seq
"""

PAGE_EVENTS = f"SELECT {_EVENT} FROM events e WHERE e.seq > %s ORDER BY e.seq LIMIT %s"

OUTCOMES = f"""
SELECT {_EVENT} FROM events e
WHERE e.decision_id = %s AND e.event_id <> %s ORDER BY e.seq
"""

OUTCOMES_OF = f"""
SELECT {_EVENT} FROM events e
WHERE e.decision_id = ANY(%s) AND e.event_id <> ALL(%s) ORDER BY e.seq
"""

EVENTS_OF = f"SELECT {_EVENT} FROM events e WHERE e.decision_id = ANY(%s) ORDER BY e.seq"

POSITION = "SELECT coalesce(max(seq), 0) FROM events"

PAGE_DECISIONS = "SELECT seq, record::text FROM decisions WHERE seq > %s ORDER BY seq LIMIT %s"

DECISION = "SELECT record::text FROM decisions WHERE decision_id = %s"

DECISIONS = "SELECT record::text FROM decisions WHERE decision_id = ANY(%s)"

ANSWERED = """
SELECT d.record::text FROM json_to_recordset(%s::json) AS wanted(customer_id text, request_id text),
LATERAL (SELECT record FROM decisions
         WHERE customer_id = wanted.customer_id AND request_id = wanted.request_id OFFSET 0) AS d
"""

CUSTOMER_DECISIONS = """
SELECT record::text FROM decisions WHERE customer_id = %s ORDER BY seq DESC LIMIT %s
"""

SNAPSHOTS = """
SELECT customer_id, seq, state, ledger FROM snapshots WHERE customer_id = ANY(%s) AND kernel = %s
"""

# A snapshot holds no truth: what a power cut takes of it is folded again. So its commit waits for
# no disk; that holds for this transaction only.
WITHOUT_WAITING = "SET LOCAL synchronous_commit = off"

SAVE_SNAPSHOTS = """
INSERT INTO snapshots (customer_id, kernel, seq, state, ledger)
SELECT * FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bytea[], %b::bytea[])
ON CONFLICT (customer_id, kernel)
DO UPDATE SET seq = excluded.seq, state = excluded.state, ledger = excluded.ledger
WHERE snapshots.seq <= excluded.seq
"""

SAVE_BUNDLE = "INSERT INTO bundles (bundle_id) VALUES (%s) ON CONFLICT DO NOTHING"

SAVE_BUNDLE_FILE = "INSERT INTO bundle_files (bundle_id, name, content) VALUES (%s, %s, %b)"

BUNDLE = """
SELECT bundle_id, name, content FROM bundles LEFT JOIN bundle_files USING (bundle_id)
WHERE bundle_id = %s
"""

STRIP_BUNDLES = """
DELETE FROM bundle_files WHERE bundle_id = ANY(%s)
    AND bundle_id NOT IN (SELECT bundle_id FROM aliases)
"""

# Whoever sets an alias waits for the one before, so that the trail is a chain; readers do not wait.
LOCK_ALIASES = "LOCK TABLE aliases IN SHARE ROW EXCLUSIVE MODE"

SET_ALIAS = """
WITH changed AS (
    INSERT INTO alias_changes (alias, bundle_before, bundle_after, changed_at, changed_by, why)
    SELECT %(alias)s, (SELECT bundle_id FROM aliases WHERE alias = %(alias)s),
           %(bundle)s, %(at)s, %(by)s, %(why)s
)
INSERT INTO aliases (alias, bundle_id, set_at) VALUES (%(alias)s, %(bundle)s, %(at)s)
ON CONFLICT (alias) DO UPDATE SET bundle_id = excluded.bundle_id, set_at = excluded.set_at
"""

ALIAS = "SELECT bundle_id FROM aliases WHERE alias = %s"

ALIAS_CHANGES = """
SELECT alias, bundle_before, bundle_after, changed_at, changed_by, why FROM alias_changes
WHERE alias = %s ORDER BY position DESC LIMIT %s
"""
