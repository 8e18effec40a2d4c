"""Words: the texts of events are read once, on the way in.

The score is stored with the event, so that the fold never needs the model and a replay after the
next training reads what was read then.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from features.encoder import Encoder
from features.text.model import TextModel
from nba.events.event import Event
from nba.events.names import TEXT_SCORE


def score_texts(events: Sequence[Event], encoder: Encoder, model: TextModel | None) -> list[Event]:
    """The events, those whose mapping has a text with its score; without a model as they are.

    An event that brings a score (from an exported log) keeps it.
    """
    if model is None:
        return list(events)
    read = list(events)
    texts: dict[int, str] = {}
    for at, event in enumerate(events):
        mapping = encoder.mapping(event)
        if mapping is None or mapping.text is None or TEXT_SCORE in event.properties:
            continue
        text = event.properties.get(mapping.text)
        if isinstance(text, str) and text.strip():
            texts[at] = text
    if not texts:
        return read
    valences, confidences = model.score(list(texts.values()))
    for at, valence, confidence in zip(texts, valences.tolist(), confidences.tolist(), strict=True):
        score = {"valence": valence, "confidence": confidence, "model": model.model_id}
        properties = {**events[at].properties, TEXT_SCORE: score}
        read[at] = msgspec.structs.replace(events[at], properties=properties)
    return read
