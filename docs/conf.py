"""Sphinx reads this. Build: ``sphinx-build -n -W -b html docs docs/_build``."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "faaskit"
author = "The faaskit authors"
version = release = version_of("faaskit")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"faaskit {version}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

# Names that faaskit offers have to lead somewhere. Others may be named in a signature alone:
# other projects', whose pages a build without a network can't look up, what lives in a file
# of a room and is not offered by the room, and what is private, such as type variables.
nitpick_ignore_regex = [
    ("py:.*", r"(?!faaskit\b).*"),
    ("py:class", r"faaskit\.\w+\.\w+\.\w+"),
    ("py:.*", r"faaskit\.\w+\._\w+"),
]
