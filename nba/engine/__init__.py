"""How one decision is made: pipeline, arbitration, draw, record, and making it again."""
