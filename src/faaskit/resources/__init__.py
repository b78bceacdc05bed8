"""
The resources that functions work on: embedded, durable, reached through the gate alone.

``state.py`` is the folder that holds it all, made of ``schema.py`` (every table),
``blobs.py`` (contents, as files) and ``presence.py`` (which process is still there);
``s3_requests.py`` is what S3's operations take, ``s3.py`` the service that carries them
out, ``bucket.py`` the handle that users hold. ``sqs/``, ``kinesis/`` and ``eventbridge/``
are queues, streams and buses, each made in the same manner, ``dynamodb/`` tables;
``members.py`` reads what their requests hold.

What must never happen here: a write that is acknowledged before it is on the disk, a
change without its event (they are one transaction), a name from outside that becomes the
name of a file.
"""
