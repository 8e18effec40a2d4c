"""The events of a customer by when they occurred: what is recent costs no look at what is old."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the index; on a large log that takes minutes, during which nothing is appended."""
    op.execute("CREATE INDEX events_customer_time ON events (customer_id, occurred_at)")


def downgrade() -> None:
    """Drop it again."""
    op.execute("DROP INDEX events_customer_time")
