"""Runs the command line: `python -m keras_pli`."""

import sys

from .cli import main

sys.exit(main())
