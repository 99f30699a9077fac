"""How `make docs` builds the pages.

The root of the repository is the source, so that links work as they do where it is browsed.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src")]

from motet.version import __version__  # noqa: E402  # after the path

project, author, release = "motet", "the motet authors", __version__
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "src/motet/datasets/LICENCES.md"]
exclude_patterns = [".*", "build", "dist", "runs", "tests"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["ref.python"]  # names that several classes have

napoleon_use_ivar = True
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # those of torch are not ours
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"motet {release}"
html_static_path, html_css_files = ["static"], ["motet.css"]
html_extra_path = ["index.html"]  # leads to the root document
html_copy_source = html_show_sourcelink = html_show_copyright = False
