"""Score the texts of events once, on the way in.

The score is stored with the event, so that the fold never needs the model and a replay after the
next training finds the score of then.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from features.encoder import Encoder
from features.text.model import TextModel
from nba.events.event import Event
from nba.events.names import TEXT_SCORE


def score_texts(events: Sequence[Event], encoder: Encoder, model: TextModel | None) -> list[Event]:
    """The events, with a score where their mapping has a text; without a model as they are.

    An event that already has a score (from an exported log) keeps it.
    """
    if model is None:
        return list(events)
    scored = list(events)
    texts: dict[int, str] = {}
    for index, event in enumerate(events):
        mapping = encoder.mapping(event)
        if mapping is None or mapping.text is None or TEXT_SCORE in event.properties:
            continue
        text = event.properties.get(mapping.text)
        if isinstance(text, str) and text.strip():
            texts[index] = text
    if not texts:
        return scored
    valences, confidences = model.score(list(texts.values()))
    scores = zip(texts, valences.tolist(), confidences.tolist(), strict=True)
    for index, valence, confidence in scores:
        score = {"valence": valence, "confidence": confidence, "model": model.model_id}
        properties = {**events[index].properties, TEXT_SCORE: score}
        scored[index] = msgspec.structs.replace(events[index], properties=properties)
    return scored
