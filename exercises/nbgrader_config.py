"""nbgrader's settings for the book's exercises, which it takes as they are.

In the `nbgrader_config.py` of a course, one line is enough:

    load_subconfig("nbgrader_config.py", path="PATH-OF-THE-BOOK/exercises")

Solutions go, expected pictures stay without their code, set-up and checks are locked. While submissions
are graded each check is imported anew, so that a student's cell cannot put another in its place.
"""

import sys
from pathlib import Path

from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import ClearSolutions, NbGraderPreprocessor

sys.path.append(str(Path(__file__).resolve().parent.parent))
from tools.classroom import has_tag, imports_anew, student  # noqa: E402


class StudentVersion(NbGraderPreprocessor):
    """Makes the student's version; stands where nbgrader would overwrite the starters."""

    def preprocess(self, nb, resources):
        return student(nb, resources["nbgrader"]["notebook"]), resources


class FreshChecks(NbGraderPreprocessor):
    """Lets every check be the library's own, whatever the cells before it did to the name."""

    def preprocess(self, nb, resources):
        anew = imports_anew([cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("locked")])
        for cell in nb.cells:
            if cell.cell_type == "code" and has_tag(cell, "check"):
                cell.source = anew + cell.source
        return nb, resources


c = get_config()  # noqa: F821 (nbgrader gives it)
usual = GenerateAssignment.preprocessors.make_dynamic_default()
c.GenerateAssignment.preprocessors = [StudentVersion, *(step for step in usual if step is not ClearSolutions)]
c.Autograde.autograde_preprocessors = [FreshChecks, *Autograde.autograde_preprocessors.make_dynamic_default()]
c.Execute.timeout = 60  # seconds for a cell; an endless loop costs its own exercise
c.Execute.startup_timeout = 120
