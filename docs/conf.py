"""Settings of the documentation's build: Markdown pages by MyST, built offline by Sphinx.

uv run --group docs python -m sphinx -W --keep-going -b html docs docs/_build/html
"""

import sys
from pathlib import Path

import gradlab

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "gradlab"
author = "the gradlab authors"
release = version = gradlab.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "gradlab_docs.extension",  # in docs/_ext: the reference, the gallery and llms.txt
]
exclude_patterns = ["_build", "_ext", "_from_readme.md"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_mock_imports = ["lightning"]  # an extra
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Nothing of the pages comes from another host: no intersphinx, no MathJax, no web fonts.
html_theme = "pydata_sphinx_theme"
html_title = "gradlab"
html_context = {"default_mode": "auto"}  # else the theme logs an error on the first visit
html_sidebars = {name: [] for name in ("benchmarks", "results", "symptoms")}  # pages without a section
html_static_path = ["_static"]
html_css_files = ["gradlab.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "gradlab"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
}
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_remove_prompts = True
