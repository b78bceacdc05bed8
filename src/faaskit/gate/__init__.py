"""
What decides, and then carries out, each service call of a running function.

``gate.py`` decides by the role, then dispatches; ``service.py`` is what a service has to
be; ``conditions.py`` the condition keys that hold for every call; ``invoking.py`` the
``lambda`` service, by which functions invoke each other; ``loose.py`` the gate of functions
that belong to no App; ``ask.py`` the other end: how a handle of a resource makes a call,
from inside a function or from the app.

The gate runs in the app's process, and whatever a call holds comes from code that may be
hostile: nothing in here raises for it, and nothing is carried out before every requirement
of the call is allowed. It knows no resource: rooms above register theirs.
"""
