"""Run the cells of one submission, in a process that they may end: python trial.py CELLS RESULTS SECONDS

CELLS is a JSON list of {"exercise", "role", "source"}; each may take so many SECONDS of the
processor's time. To RESULTS goes one JSON line when an
exercise's cell begins and one when it is done, so that of a process that died one knows where. No key is
known here: the numbers that a student's functions give are written down, and compared elsewhere.
"""

import json
import math
import signal
import sys

MAGIC = ("%", "!")  # lines that only Jupyter understands


def number_of(answer: object) -> float | None:
    """A student's answer as a float if it is an ordinary number, or a tensor or array of one."""
    if type(answer).__module__ in ("torch", "numpy") and getattr(answer, "size", None) is not None:
        answer = answer.item()
    return float(answer) if type(answer) in (int, float) and math.isfinite(answer) else None


def main(cells_file: str, results_file: str, seconds: str) -> None:
    with open(cells_file, encoding="utf-8") as file:
        cells = json.load(file)
    results = open(results_file, "w", encoding="utf-8", buffering=1)
    space: dict = {"__name__": "__main__"}
    for cell in cells:
        print(json.dumps({"begins": cell["exercise"]}), file=results)
        if hasattr(signal, "setitimer"):  # not on Windows; there the whole run has a limit
            signal.signal(signal.SIGPROF, signal.SIG_DFL)  # it ends the process, and no `except` can catch it
            signal.setitimer(signal.ITIMER_PROF, float(seconds))
        report = {**cell, "reason": None, "number": None}
        try:
            if cell["role"] == "number":
                report["number"] = number_of(space[cell["source"]]())
            else:
                lines = cell["source"].split("\n")
                code = "\n".join("" if line.startswith(MAGIC) else line for line in lines)
                exec(compile(code, f"<{cell['exercise']}>", "exec"), space)
        except BaseException as error:  # SystemExit, too: in a notebook it ends no more than its cell
            report["reason"] = f"{type(error).__name__}: {error}"
        print(json.dumps(report), file=results)
    print(json.dumps({"begins": "end"}), file=results)
    results.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
