"""The log: events, decisions, snapshots, bundles and aliases."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# COLLATE "C" on every id: ids are compared, never sorted for people, and an index in byte order
# survives an upgrade of the C library's collations.
UP = """
CREATE SEQUENCE event_seq;

CREATE TABLE events (
    seq bigint PRIMARY KEY DEFAULT nextval('event_seq'),
    event_id text COLLATE "C" NOT NULL UNIQUE,
    customer_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    decision_id text COLLATE "C",
    properties json NOT NULL
);
ALTER SEQUENCE event_seq OWNED BY events.seq;
CREATE INDEX events_customer ON events (customer_id, seq);
CREATE INDEX events_decision ON events (decision_id, seq) WHERE decision_id IS NOT NULL;

CREATE TABLE decisions (
    decision_id text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL UNIQUE,
    customer_id text COLLATE "C" NOT NULL,
    request_id text COLLATE "C",
    decided_at timestamptz NOT NULL,
    record json NOT NULL
);
CREATE UNIQUE INDEX decisions_request ON decisions (customer_id, request_id)
    WHERE request_id IS NOT NULL;
CREATE INDEX decisions_customer ON decisions (customer_id, seq);

CREATE TABLE snapshots (
    customer_id text COLLATE "C" NOT NULL,
    kernel text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (customer_id, kernel)
);

CREATE TABLE bundles (
    bundle_id text COLLATE "C" PRIMARY KEY,
    saved_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE bundle_files (
    bundle_id text COLLATE "C" NOT NULL REFERENCES bundles,
    name text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (bundle_id, name)
);
CREATE TABLE aliases (
    alias text COLLATE "C" PRIMARY KEY,
    bundle_id text COLLATE "C" NOT NULL REFERENCES bundles,
    set_at timestamptz NOT NULL
);
"""

DOWN = "DROP TABLE aliases, bundle_files, bundles, snapshots, decisions, events;"


def upgrade() -> None:
    """Create every table."""
    op.execute(UP)


def downgrade() -> None:
    """Drop every table, with everything in it."""
    op.execute(DOWN)
