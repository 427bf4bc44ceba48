"""A notebook as a function: its code, its parameters, and the files that it names.

``belamy.sweep`` asks for them before it runs one, and to know whether a kept result is still that of the
notebook.
"""

import ast
import glob
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from belamy.errors import FileError

LARGE = 16 * 2**20  # bytes; of larger files size and time stand for the contents


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    """The notebook's code cells, each with its ``source`` as one text.

    Raises:
        FileError: there is no such file, or it is no notebook.
    """
    try:
        book = json.loads(notebook.read_text(encoding="utf-8"))
        cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        return [{**cell, "source": "".join(cell["source"])} for cell in cells]
    except FileNotFoundError as error:
        raise FileError(f"there is no notebook {notebook}") from error
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise FileError(
            f"{notebook} is no notebook that can be read ({why}); save it with Jupyter"
        ) from error


def parameters(notebook: Path) -> dict[str, Any]:
    """The names that the cell tagged ``parameters`` sets, with their values where these are literals.

    A value that has to be computed stands as None.

    Raises:
        FileError: the notebook has no such cell, or the cell is no Python.
    """
    for cell in code_cells(notebook):
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            break
    else:
        raise FileError(
            f"{notebook} has no cell tagged 'parameters': give the tag to a cell that sets the names to "
            'be swept and result = ""'
        )
    tree = _parsed(cell["source"])
    if tree is None:
        raise FileError(f"the parameters cell of {notebook} is no Python")
    found = {}
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found[node.id] = None
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(targets[0], ast.Name):
            try:
                found[targets[0].id] = ast.literal_eval(statement.value)
            except (ValueError, TypeError):
                continue
    return found


def named_files(folder: Path, code: list[str], words: list[str], without: Path) -> dict[str, str]:
    """The files that code names, in an import or in a text, and a digest of each.

    A text names a file, a folder below ``folder`` with all that is in it, or, if it is an f-string or
    has wildcards, whatever fits. It may lack the ending (``"helper"``) or be a word among others
    (``"%run helper.py"``). Modules that are named are asked in the same way. Of notebooks the code
    counts, not the outputs. What a program puts together from pieces that name no file is not seen.

    Args:
        folder: in which the code runs.
        code: sources of cells.
        words: texts besides those in the code.
        without: a folder that is left out.

    Returns:
        Digests by path.
    """
    same_stem: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):
        same_stem.setdefault(Path(name).stem, []).append(name)
    found: dict[str, str] = {}
    seen: set[str] = set()
    texts = [*words, *(text for source in code for text in _texts(source))]
    while texts:
        text = texts.pop()
        if text in seen or "\0" in text or not any(letter.isalnum() for letter in text):
            continue
        seen.add(text)
        places = [text, *same_stem.get(text, []), *glob.glob(text, root_dir=folder, recursive=True)]
        files: list[str] = []
        for place in (os.path.join(folder, place) for place in places):
            if os.path.isfile(place):
                files.append(place)
            elif os.path.isdir(place) and folder in Path(place).resolve().parents:
                for parent, folders, names in os.walk(place):
                    folders[:] = [f for f in folders if f[0] != "." and f != "__pycache__"]
                    files += [os.path.join(parent, name) for name in names if name[0] != "."]
        for file in files:
            path = Path(file)
            if file in found or without in path.resolve().parents:
                continue
            try:
                if path.suffix == ".ipynb":
                    content = repr([cell["source"] for cell in code_cells(path)]).encode()
                elif path.stat().st_size > LARGE:
                    content = f"{path.stat().st_size} {path.stat().st_mtime_ns}".encode()
                else:
                    content = path.read_bytes()
            except OSError as error:  # the notebook itself will say so, if it needs the file
                content = type(error).__name__.encode()
            found[file] = hashlib.sha256(content).hexdigest()
            if path.suffix == ".py":
                texts += _texts(content.decode(errors="replace"))
    return found


def _texts(source: str) -> list[str]:
    """What code may call a file by: modules that it imports, its texts, and their words."""
    tree = _parsed(source)
    texts = []
    for node in ast.walk(tree) if tree else []:
        if isinstance(node, ast.Import):
            texts += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            texts.append((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts += [node.value, *re.split(r"[\s'\"]+", node.value)]
        elif isinstance(node, ast.JoinedStr):  # an f-string, whose fields may be anything
            pieces = [glob.escape(p.value) if isinstance(p, ast.Constant) else "*" for p in node.values]
            texts += ["".join(pieces), *re.split(r"[\s'\"]+", "".join(pieces))]
    return texts


def _parsed(source: str) -> ast.Module | None:
    """The code's syntax tree, magics of notebooks included; None where it is no Python."""
    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError):
        return None
