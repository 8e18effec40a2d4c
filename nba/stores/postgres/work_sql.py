"""The statements of `PostgresWork`: timers, deliveries, capacities, cursors and turns.

What several processes work off is locked row by row with SKIP LOCKED: nobody waits, nobody does
what another is at. A transaction that also appends locks in one order everywhere, so that no two
wait for each other: the rows that it works off with SKIP LOCKED, then the turn, then the rest.
"""

USED = """
SELECT c.capacity, c.period, c.used
FROM json_to_recordset(%s::json) AS wanted(capacity text, period text),
LATERAL (SELECT capacity, period, used FROM capacities
         WHERE capacity = wanted.capacity AND period = wanted.period OFFSET 0) AS c
"""

# The new totals, and not what is added: the turn is ours since they were read.
SAVE_USED = """
INSERT INTO capacities (capacity, period, used)
SELECT * FROM json_to_recordset(%s::json) AS new(capacity text, period text, used float8)
ON CONFLICT (capacity, period) DO UPDATE SET used = excluded.used
"""

SET_TIMERS = """
INSERT INTO timers (timer_id, customer_id, due_at)
SELECT * FROM json_to_recordset(%s::json)
    AS new(timer_id text, customer_id text, due_at timestamptz)
ON CONFLICT (timer_id) DO NOTHING
"""

HOLD_DUE_TIMERS = """
SELECT timer_id, customer_id FROM timers WHERE due_at <= %s
ORDER BY due_at, timer_id LIMIT %s FOR UPDATE SKIP LOCKED
"""

DROP_TIMERS = "DELETE FROM timers WHERE timer_id = ANY(%s)"

_DELIVERY = "d.decision_id, d.customer_id, d.state, d.due_at, d.attempts, d.error"

ADD_DELIVERIES = """
INSERT INTO deliveries (decision_id, customer_id, state, due_at)
SELECT * FROM json_to_recordset(%s::json)
    AS new(decision_id text, customer_id text, state text, due_at timestamptz)
"""

CLAIM_DELIVERIES = f"""
WITH due AS MATERIALIZED (
    SELECT decision_id, due_at FROM deliveries WHERE state = 'waiting' AND due_at <= %s
    ORDER BY due_at, decision_id LIMIT %s FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE deliveries d SET attempts = d.attempts + 1, due_at = %s
    FROM due WHERE d.decision_id = due.decision_id
    RETURNING {_DELIVERY}, due.due_at AS was_due_at
)
SELECT {_DELIVERY} FROM claimed d ORDER BY d.was_due_at, d.decision_id
"""

HOLD_DELIVERY = f"SELECT {_DELIVERY} FROM deliveries d WHERE d.decision_id = %s FOR UPDATE"

SETTLE_DELIVERY = """
UPDATE deliveries SET state = %s, due_at = %s, attempts = %s, error = %s WHERE decision_id = %s
"""

DELIVERIES = f"""
SELECT {_DELIVERY} FROM deliveries d WHERE d.state = %s ORDER BY d.due_at, d.decision_id LIMIT %s
"""

CURSOR = "SELECT seq FROM cursors WHERE name = %s"

SAVE_CURSOR = """
INSERT INTO cursors (name, seq) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET seq = excluded.seq WHERE cursors.seq < excluded.seq
"""

# Two numbers, which are a space of their own: no name meets the turn of the appends. It belongs
# to the session, and is free when that ends.
TRY_TURN = "SELECT pg_try_advisory_lock(7233121, hashtext(%s))"
END_TURN = "SELECT pg_advisory_unlock(7233121, hashtext(%s))"

# A holder whose machine is gone is noticed after half a minute, not after the system's two hours.
NOTICE_THE_DEAD = """
SELECT set_config('tcp_keepalives_idle', '10', false),
       set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '4', false)
"""
