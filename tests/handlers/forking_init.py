"""A module whose import leaves a process behind, which holds every descriptor that there was."""

from __future__ import annotations

import os
import time
from typing import Any

if os.fork() == 0:
    while True:
        time.sleep(1)


def act(event: Any, context: Any) -> str:
    """Be calm."""
    return "calm"
