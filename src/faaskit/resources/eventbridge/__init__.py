"""
Buses: EventBridge, embedded and durable.

- ``bus``: what users hold
- ``service``: carries EventBridge's operations out
- ``requests``: what they take
- ``entries``: entries of PutEvents, and the events that come of them; pure
"""
