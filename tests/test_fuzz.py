"""Any table and any parameters: finite results, or an error in our own words."""

import os
from collections import Counter

from fuzzing import check, fits, models, tables
from hypothesis import HealthCheck, given, settings

# More by an environment variable, as `benchmarks/fuzz.py` sets it.
N_EXAMPLES = int(os.environ.get("SKAE_FUZZ", "60"))

fuzzed = settings(
    max_examples=N_EXAMPLES,
    derandomize="SKAE_FUZZ" not in os.environ,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def test_any_table_and_any_parameters_give_finite_results_or_an_error_of_our_own():
    became = Counter()

    @fuzzed
    @given(model=models(), X=tables(), how=fits())
    def run(model, X, how):
        became[check(model, X, how)] += 1

    run()
    print(became)  # which `benchmarks/fuzz.py` shows
    assert became["finite"] >= became.total() / 3
