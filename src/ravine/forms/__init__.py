"""Tables that people fill in: frozen data, whose types say what each field may be.

    class Point(Form):
        left: float
        top: Annotated[float, Limits(least=0.0)] = 0.0

    Point(left=1, top=2.0)        # in Python
    Point.of({"left": 1.0})       # out of a file

Written here because a library for it takes longer to import than reading a study takes.
"""

from ravine.forms.form import Form, plain
from ravine.forms.reading import REQUIRED, Limits, read
from ravine.forms.refused import Refused

__all__ = ["REQUIRED", "Form", "Limits", "Refused", "plain", "read"]
