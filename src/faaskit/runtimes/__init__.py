"""
How code gets into an environment and what an environment is.

``contract.py`` is the seam (values and two protocols), ``python.py`` how a Python function
travels, ``local.py`` the backend on this host's sandbox. The only room that imports
``sandbox``. It knows nothing of roles, money or events.
"""
