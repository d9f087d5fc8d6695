"""How much longer does `import skae` take than torch and scikit-learn, which it needs?

python benchmarks/imports.py [--repeats 15]

Both imports run in turn, each in a process of its own; medians, from the least to the most.
"""

import argparse
import statistics
import subprocess
import sys
import time

IMPORTS = ("import torch, sklearn.decomposition", "import skae")


def seconds(statement):
    """Return how long a process takes that runs a statement."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    for statement in IMPORTS:  # files that the system has not read yet
        seconds(statement)
    found = [tuple(map(seconds, IMPORTS)) for _ in range(options.repeats)]
    medians = []
    for statement, times in zip(IMPORTS, zip(*found, strict=True), strict=True):
        medians.append(statistics.median(times))
        print(f"{statement}: {medians[-1]:.2f} s ({min(times):.2f} to {max(times):.2f})")
    print(f"ratio of the medians: {medians[1] / medians[0]:.2f}")


if __name__ == "__main__":
    main()
