"""See `examples/starbucks/run.py`; `examples` is no package that is installed.

.venv/bin/python benchmarks/public_data/starbucks.py --json --data DIR
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    runpy.run_module("examples.starbucks.run", run_name="__main__", alter_sys=True)
