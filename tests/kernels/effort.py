"""How much the tests of the kernels do: less under AddressSanitizer, which is ten times slower.

`make test-kernels-sanitized` sets ASSAY_KERNELS_SANITIZED. Then there are fewer examples and smaller shapes, with every
operator, instruction set and malformed input still among them.
"""

import os

from hypothesis import HealthCheck, settings

SANITIZED = bool(os.environ.get("ASSAY_KERNELS_SANITIZED"))

# For properties that run once for each instruction set. The fixture only sets an environment variable, the same for
# every example.
per_instruction_set = settings(
    max_examples=8 if SANITIZED else 40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
