"""How long the fuzz tests run: few examples in `make test`, many and at random in `make fuzz`."""

import os

from hypothesis import HealthCheck, settings

FUZZING = os.environ.get("ASSAY_FUZZ_EXAMPLES")
"""How many examples each test tries. Without it they are few, and the same in every run."""

checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile(
    "fuzz",
    deadline=None,
    derandomize=FUZZING is None,
    max_examples=int(FUZZING or 60),
    suppress_health_check=checks,
)
