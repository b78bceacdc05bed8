"""
AWS beyond the app's own resources: where other calls go, and the owner's boto3 clients.

- ``endpoint.py``: carries out a call that the gate allowed, with botocore
- ``places.py``: what ``App(aws=…)`` may name
- ``moto.py``, ``moto_server.py``: moto's server in a process of its own, and the way to it
- ``extra.py``: boto3, or how to get it
- ``clients.py``: ``app.client`` and ``app.resource``

How boto3 inside a function reaches the gate is in ``sandbox/boto.py``. What must never happen
here: a call that is carried out otherwise than it was decided.
"""
