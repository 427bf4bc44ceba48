"""Claims of the book's sources, and what became of them.

A chapter displays its claims as a ``Claims`` table. The table carries its rows as JSON, too, and from
the executed chapters the book's builder gathers the page of all claims: nothing on it is typed.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Any

from belamy.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MIME = "application/vnd.belamy.claims+json"
VERDICTS = ("reproduced", "reproduced in part", "not reproduced", "undecided", "not testable")


@dataclass(frozen=True)
class Claim:
    """One row.

    Attributes:
        source: document and place, with a comma between them: ``"Portrait study, §3.2"``.
        claim: what it says, in the book's words.
        measured: what was found, with its interval where there is randomness.
        verdict: one of ``VERDICTS``, then, after a colon, whatever has to be added.
        at: label of the figure at which the experiment stands.
    """

    source: str
    claim: str
    measured: str
    verdict: str
    at: str


class Claims:
    """A chapter's claims: shown as a table, gathered by the builder.

    Args:
        rows: tuples of the five parts of a ``Claim``, in its order.

    Raises:
        InputError: no rows, one without five parts, an empty part, or a verdict that does not begin
            with one of ``VERDICTS``.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, str, str]]) -> None:
        given = list(rows) if isinstance(rows, Iterable) else []
        if not given:
            raise InputError("Claims of no rows: give (source, claim, measured, verdict, at) for each")
        for row in given:
            if not isinstance(row, tuple | list) or len(row) != 5:
                raise InputError(
                    f"{row!r} is no row of claims: give (source, claim, measured, verdict, at)"
                )
        self.rows = [Claim(*row) for row in given]
        for row in self.rows:
            if not all(isinstance(part, str) and part.strip() for part in astuple(row)):
                raise InputError(f"{row} has a part that is empty or no text")
            if row.verdict.partition(":")[0] not in VERDICTS:
                raise InputError(f"verdict={row.verdict!r} must begin with one of {', '.join(VERDICTS)}")

    def frame(self) -> pd.DataFrame:
        """The rows as they are shown."""
        import pandas as pd

        columns = ["source", "claim", "measured here", "verdict", "experiment"]
        return pd.DataFrame([astuple(row) for row in self.rows], columns=columns)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        table = self.frame().style.hide(axis="index").set_uuid("claims").format(html.escape)
        table.format(lambda at: f'<a href="#{html.escape(at)}">shown here</a>', subset=["experiment"])
        table.set_properties(**{"text-align": "left", "white-space": "normal"})
        return {
            MIME: {"verdicts": VERDICTS, "claims": [asdict(row) for row in self.rows]},
            "text/html": table.to_html(),
            "text/plain": self.frame().to_string(index=False),
        }
