"""
Event source mappings: what reads a stream, a table or a queue, and invokes a function with it.

Pure: ``settings.py`` (parameters and their ranges), ``filters.py``, ``outcomes.py`` (what an
answer says of its batch), ``progress.py`` (how far a lane is, and what becomes of a batch that
failed), ``records.py`` (what an on-failure destination gets). Sources: ``sources.py`` (what one
is), ``kinesis.py``, ``tables.py``, ``queues.py``. Kept in the state folder: ``registry.py``
(which mappings there are), ``lanes.py`` (how far each is). The work itself: ``streams.py`` with
``lane.py`` and ``giving_up.py`` for streams and tables, ``polling.py`` for queues, ``remote`` for
what is not the app's own; ``reader.py`` is what they have of the app.
"""
