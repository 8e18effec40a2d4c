"""Vowpal Wabbit behind a pipe: a JSON line asks for probabilities, or says what an arm cost."""

from __future__ import annotations

import json
import sys

SETTINGS = "--cb_explore_adf --squarecb --gamma_scale 100 -l 0.5 --hash all -q XA --quiet"


def lines(message: dict) -> list[str]:
    shared = " ".join(f"f{n}:{value:.6g}" for n, value in enumerate(message["x"]))
    found = [f"shared |X {shared}"]
    for arm in range(message["arms"]):
        label = ""
        if message.get("arm") == arm:
            label = f"0:{message['cost']:.6g}:{message['p']:.6g} "
        found.append(f"{label}|A a{arm}")
    return found


def main() -> None:
    from vowpalwabbit import Workspace  # in .peers alone

    workspace = Workspace(SETTINGS)
    for line in sys.stdin:
        message = json.loads(line)
        if "arm" in message:
            workspace.learn(lines(message))
            answer = True
        else:
            answer = workspace.predict(lines(message))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
