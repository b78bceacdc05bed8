"""
Streams: Kinesis, embedded and durable.

- ``stream``: what users hold
- ``settings``: what a stream is declared with
- ``service``: carries Kinesis' operations out
- ``requests``: what they take
- ``records``: rows of the state folder
- ``shards``: hash keys and sequence numbers; pure
- ``resharding``: which shards there are after splits and merges; pure
- ``iterators``: positions in a shard, as callers carry them; pure
"""
