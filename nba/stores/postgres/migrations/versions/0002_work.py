"""What is to be done: shared capacities, timers, deliveries, cursors; who set an alias."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# An alias that was set before has its last change in the trail: who made it was not kept.
UP = """
ALTER TABLE snapshots ADD COLUMN ledger bytea NOT NULL DEFAULT '';

CREATE TABLE capacities (
    capacity text COLLATE "C" NOT NULL,
    period text COLLATE "C" NOT NULL,
    used double precision NOT NULL,
    PRIMARY KEY (capacity, period)
);

CREATE TABLE timers (
    timer_id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    due_at timestamptz NOT NULL
);
CREATE INDEX timers_due ON timers (due_at, timer_id);

CREATE TABLE deliveries (
    decision_id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    error text
);
CREATE INDEX deliveries_due ON deliveries (state, due_at, decision_id);

CREATE TABLE cursors (
    name text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL
);

CREATE TABLE alias_changes (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alias text COLLATE "C" NOT NULL,
    bundle_before text COLLATE "C",
    bundle_after text COLLATE "C" NOT NULL REFERENCES bundles,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    why text NOT NULL
);
CREATE INDEX alias_changes_alias ON alias_changes (alias, position);
INSERT INTO alias_changes (alias, bundle_after, changed_at, changed_by, why)
SELECT alias, bundle_id, set_at, '', '' FROM aliases ORDER BY set_at, alias;
"""

DOWN = """
DROP TABLE alias_changes, cursors, deliveries, timers, capacities;
ALTER TABLE snapshots DROP COLUMN ledger;
"""


def upgrade() -> None:
    """Create the tables, beside those of 0001."""
    op.execute(UP)


def downgrade() -> None:
    """Drop them again, with everything in them."""
    op.execute(DOWN)
