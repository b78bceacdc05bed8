"""
Queues: SQS, embedded and durable.

- ``queue``: what users hold
- ``settings``: what a queue is declared with
- ``service``: carries SQS's operations out
- ``requests``: what they take
- ``messages``: rows of the state folder
- ``digests``, ``receipts``: AWS's MD5s, and handles of received messages; pure
"""
