"""Does any table, with any parameters, give NaN or an error that is not skae's?

Runs ``tests/test_fuzz.py`` on many more examples than the tests do, drawn anew each time.

    python benchmarks/fuzz.py [number of examples, 2000]
"""

import os
import subprocess
import sys
from pathlib import Path

N_EXAMPLES = sys.argv[1] if len(sys.argv) > 1 else "2000"
TEST = Path(__file__).parents[1] / "tests" / "test_fuzz.py"

command = [sys.executable, "-m", "pytest", "-q", str(TEST), "-rP"]
sys.exit(subprocess.run(command, env={**os.environ, "SKAE_FUZZ": N_EXAMPLES}).returncode)
