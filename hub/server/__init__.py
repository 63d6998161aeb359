"""The app: a web page and an API that name the expressions of faces, on your machine or as a Space on the Hub.

A Space gets a copy of this folder and of a few files of `pipeline/` (`hub/space_folder.py` lists them), so nothing here
imports any other module of the project.
"""

import warnings

# Damaged pictures are refused with a reason. Pillow's warnings about them would fill the log, and memory, because
# Python keeps every warning that it has shown.
warnings.filterwarnings("ignore", module=r"PIL\.")
