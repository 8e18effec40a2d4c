"""Names of events, and prefixes of event ids, that have a meaning to the service itself."""

from __future__ import annotations

IDENTIFY = "identify"  # its properties are the customer's traits
ACTION_DECIDED = "Action Decided"  # appended by the log with every decision
ACTION_SHOWN = "Action Shown"
ACTION_CLICKED = "Action Clicked"
ACTION_ACCEPTED = "Action Accepted"
ACTION_DISMISSED = "Action Dismissed"
ACTION_ACTIVATED = "Action Activated"  # a deferred decision counts from here on
ACTION_EXPIRED = "Action Expired"  # the decision never reached the customer and does not count
ACTION_DELIVERED = "Action Delivered"  # the receipt of a message that we sent
CONSENT_GIVEN = "Consent Given"  # properties: purpose, channel; without one: every
CONSENT_WITHDRAWN = "Consent Withdrawn"
CONTACT_SUPPRESSED = "Contact Suppressed"  # properties: channel, until
CONTACT_RESUMED = "Contact Resumed"
SUB_JOURNEY_ENTERED = "Sub-journey Entered"
SUB_JOURNEY_MOVED = "Sub-journey Moved"
SUB_JOURNEY_LEFT = "Sub-journey Left"
TIMER_FIRED = "Timer Fired"
REWARD_GIVEN = "Reward Given"  # an outcome that carries its own reward

ACTION_OUTCOMES = (ACTION_SHOWN, ACTION_CLICKED, ACTION_ACCEPTED, ACTION_DISMISSED)
ACTION_FEEDBACK = (*ACTION_OUTCOMES, ACTION_ACTIVATED, ACTION_DELIVERED, ACTION_EXPIRED)
LOG_EVENTS = (  # that only the log itself appends
    ACTION_DECIDED,
    ACTION_ACTIVATED,
    ACTION_EXPIRED,
    ACTION_DELIVERED,
    SUB_JOURNEY_ENTERED,
    SUB_JOURNEY_MOVED,
    SUB_JOURNEY_LEFT,
    TIMER_FIRED,
)
OUR_EVENTS = (*LOG_EVENTS, ACTION_SHOWN)  # what we do ourselves: no news of a customer
GOVERNANCE_EVENTS = (  # about contacts and consent, not about what the customer lived through
    *LOG_EVENTS,
    CONSENT_GIVEN,
    CONSENT_WITHDRAWN,
    CONTACT_SUPPRESSED,
    CONTACT_RESUMED,
)

# of the ids of the events that the log itself appends
DECISION_PREFIX = "decision:"
MOVE_PREFIX = "sub-journey:"
TIMER_PREFIX = "timer:"
ACTIVATION_PREFIX = "activation:"
EXPIRY_PREFIX = "expiry:"
DELIVERY_PREFIX = "delivery:"
LOG_PREFIXES = (
    DECISION_PREFIX,
    MOVE_PREFIX,
    TIMER_PREFIX,
    ACTIVATION_PREFIX,
    EXPIRY_PREFIX,
    DELIVERY_PREFIX,
)

TEXT_SCORE = "nba_text"  # the property under which the customer's words are scored on the way in
