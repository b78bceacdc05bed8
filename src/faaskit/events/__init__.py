"""
What makes functions run by themselves: event shapes, their rules, asynchronous delivery.

Rules are pure: ``schedules.py`` (when a schedule fires), ``s3.py`` (which events there are,
which rules may stand side by side, what a record looks like), ``retries.py`` (when an
asynchronous invocation is tried again). ``scheduler.py`` fires schedules, and
``notifications.py`` turns the changes of a bucket into events. ``asynchronous.py`` is the
durable queue that events wait in, ``attempts.py`` tries those that are due, and what follows
of them (``records.py``) goes to destinations (``targets.py``). ``rules.py`` puts what is on a bus
where its rules send it (``patterns.py`` says which, ``inputs.py`` as what). ``mappings/`` reads
streams, tables and queues. ``delivery.py`` carries out whatever is due, of every kind of work
(``work.py``), and ``watching.py`` tells what each event is at.

What must never happen here: an event that is lost, or one that is counted as delivered
before its invocation has ended.
"""

from faaskit.events.patterns import matches
from faaskit.events.schedules import next_fire

__all__ = ["matches", "next_fire"]
