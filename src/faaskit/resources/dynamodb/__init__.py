"""
Tables: DynamoDB's operations on the state folder, and the handle that users hold.

From the ground up, each file importing only those before it:

- ``refusals.py``: DynamoDB's errors, in its words
- ``definition.py``: what a table was declared as
- ``numbers.py``, ``values.py``, ``keys.py``: attribute values: checked, compared, measured,
  ordered
- ``python.py``: attribute values from and to Python's own
- ``syntax.py``: what an expression says; ``forms.py`` reads the fixed forms that the handle
  and boto3's builders write, ``grammar.py`` any other, with the parser of AWS's own client
- ``paths.py``, ``binding.py``, ``reserved.py``, ``conditions.py``, ``updates.py``,
  ``key_conditions.py``: what expressions mean
- ``requests.py``, ``pages.py``: what the operations take; ``capacity.py``: what they would
  consume
- ``store.py``: rows; ``items.py``, ``reading.py``, ``writing.py``, ``transactions.py``: the
  operations; ``service.py`` finds the one that was called
- ``table.py``: the handle

Everything below ``store.py`` is pure: no clock, no file.

What must never happen here: a write that is acknowledged before it is on the disk; a
condition that is decided on something else than what its write replaces; a change without
its stream record.
"""
