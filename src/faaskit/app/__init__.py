"""
App: ties functions, resources and triggers together, and delivers their events.

One class in three chapters, each a file that builds on the one before: ``resources.py``
(buckets, tables, queues, streams, buses), ``triggers.py`` (functions and what invokes them),
``app.py`` (roles, delivery, beginning and end). Beside them: ``reading.py`` (what a role must
allow for mappings) and ``signals.py`` (SIGTERM).
"""

from faaskit.app.app import App

__all__ = ["App"]
