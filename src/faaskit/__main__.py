"""``python -m faaskit``."""

from __future__ import annotations

import sys

from faaskit.cli import main

sys.exit(main())
