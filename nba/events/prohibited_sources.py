"""What emotion is never read from: the body, and employees.

Inferring emotion from biometric data makes a system an emotion recognition system (EU AI Act,
art. 3(39)), forbidden at work and in education (art. 5(1)(f)). We read service events, words and
survey answers of customers; the journey file refuses the rest.
"""

from __future__ import annotations

import re

_WORDS = {
    "biometric",
    "biometrics",
    "eyetracking",
    "facial",
    "gaze",
    "heartbeat",
    "heartrate",
    "keystroke",
    "keystrokes",
    "microexpression",
    "microexpressions",
    "prosody",
    "voiceprint",
}
# a word, and those that speak of the body together with it
_COMBINATIONS = {
    "camera": {"emotion"},
    "cursor": {"dynamics", "speed", "trajectory", "velocity"},
    "eye": {"tracking"},
    "face": {"emotion", "expression", "scan", "sentiment"},
    "faces": {"emotion", "expression", "expressions"},
    "heart": {"rate"},
    "iris": {"scan"},
    "mouse": {"dynamics", "speed", "trajectory", "velocity"},
    "pulse": {"bpm", "rate"},
    "pupil": {"dilation", "size"},
    "skin": {"conductance"},
    "speech": {"emotion"},
    "typing": {"cadence", "dynamics", "pressure", "rhythm", "speed"},
    "voice": {"emotion", "pitch", "sentiment", "stress", "tone", "volume"},
}


def biometric(name: str) -> bool:
    """Whether a name speaks of the body as a source of emotion.

    >>> biometric("Voice Tone Scored"), biometric("cursor_speed"), biometric("invoice_tone")
    (True, True, False)
    """
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))
    return bool(words & _WORDS) or any(words & _COMBINATIONS.get(word, set()) for word in words)
