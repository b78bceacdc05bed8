"""
What a service call needs of a role: AWS's operations as IAM's actions, ARNs and condition keys.

- ``*.json``: the table, a file for each service; ``table.py`` says how to read it
- ``resources.py``: the ARNs of what parameters name
- ``dynamodb.py``: the condition keys that look into items
- ``requirements.py``: puts them together for a call

All of it is pure, and looks at parameters that a function sent: any type, any size. What must
never happen here: a call that can be made to need less than what it does.
"""
