"""
The command: ``faaskit demo``, ``invoke``, ``run``, ``doctor``.

One file a sub-command; each imports what it needs when it runs. Nothing here decides
anything: what the command can do, the library can do, too.

Exit codes: 0 all went well; 1 the function failed; 2 bad input; 3 the sandbox or the host
failed; 130 Ctrl-C.
"""

from __future__ import annotations

from faaskit.cli.entry import main

__all__ = ["main"]
