"""What emotion is never read from: the body, and employees.

Inferring emotion from biometric data makes a system an emotion recognition system (EU AI Act,
art. 3(39)), forbidden at work and in education (art. 5(1)(f)). We read service events, words and
survey answers of customers; the journey file refuses the rest.
"""

from __future__ import annotations

import re

_ALONE = {
    *("biometric", "biometrics", "facial", "gaze", "keystroke", "keystrokes", "heartrate"),
    *("heartbeat", "prosody", "microexpression", "microexpressions", "voiceprint", "eyetracking"),
}
_TOGETHER = (
    *({"voice", word} for word in ("tone", "pitch", "stress", "emotion", "volume", "sentiment")),
    *({"face", word} for word in ("emotion", "expression", "scan", "sentiment")),
    *({"typing", word} for word in ("rhythm", "speed", "cadence", "dynamics", "pressure")),
    *({"cursor", word} for word in ("speed", "dynamics", "trajectory", "velocity")),
    *({"mouse", word} for word in ("speed", "dynamics", "trajectory", "velocity")),
    {"heart", "rate"},
    *({"pulse", word} for word in ("rate", "bpm")),
    *({"pupil", word} for word in ("size", "dilation")),
    {"iris", "scan"},
    *({"faces", word} for word in ("emotion", "expression", "expressions")),
    {"skin", "conductance"},
    {"eye", "tracking"},
    {"speech", "emotion"},
    {"camera", "emotion"},
)


def biometric(name: str) -> bool:
    """Whether a name speaks of the body as a source of emotion.

    >>> biometric("Voice Tone Scored"), biometric("cursor_speed"), biometric("invoice_tone")
    (True, True, False)
    """
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))
    return bool(words & _ALONE) or any(pair <= words for pair in _TOGETHER)
