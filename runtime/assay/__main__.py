"""`python -m assay`: the command line, as `assay` is."""

import sys

from assay.cli import main

sys.exit(main())
