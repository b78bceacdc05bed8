"""
Buckets at the gate: S3's operations on the state folder.

- ``requests.py``: what the operations take; pure
- ``service.py``: objects; finds the operation that was called
- ``listing.py``: pages of keys, rolled up at a delimiter
- ``multipart.py``: objects that come in parts

The handle that users hold is ``resources/bucket.py``. What must never happen here: a write
that is acknowledged before it is on the disk, or whose event is in another transaction.
"""
