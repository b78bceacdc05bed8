"""
What a service call needs of a role: AWS's operations as IAM's actions, ARNs and condition keys.

- ``*.json``: the table, a generated file for each service; ``table.py`` says how to read it
- ``resources.py``: the ARNs of what parameters name, or patterns of them
- ``keys.py``: the condition keys that parameters give; ``dynamodb.py`` those that look into items
- ``partiql.py``: the tables of PartiQL statements
- ``requirements.py``: puts them together for a call

All of it is pure, and looks at parameters that a function sent: any type, any size. What must
never happen here: a call that can be made to need less than what it does.
"""
