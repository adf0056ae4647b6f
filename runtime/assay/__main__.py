"""`python -m assay`: the command line, as `assay` is."""

import sys

from assay.cli.main import main

sys.exit(main())
