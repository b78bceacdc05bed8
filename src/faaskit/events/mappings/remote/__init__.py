"""
Sources that are not the app's own: SQS, Kinesis and DynamoDB Streams at any endpoint.

A queue is polled and its messages deleted, ``queues.py``. Of a stream or a table's stream, the
records are copied into the state folder, ``streams.py``, a little ahead of what reads them; from
there on they are delivered as those of the app's own streams are. ``services.py`` is what is
asked of the two services, ``copies.py`` what is kept.
"""
