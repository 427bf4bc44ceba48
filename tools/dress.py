"""What the book makes of the built pages' folded cells, tables and pictures.

Each function below does one thing to a parsed page; chapters/assets/belamy.css and belamy.js do the rest.
"""

import re

from bs4 import BeautifulSoup, NavigableString, Tag

NUMBER = re.compile(r"[±<>≤≥≈~]?\s*[-−+]?(\d[\d,]*\.?\d*|\.\d+|nan|inf)(e[-−+]?\d+)?\s*%?")
# A cell of numbers: one, or several in brackets or joined: '0.31 ± 0.02', '1.9 [0.3, 3.5]', '3 of 9', '64×64'.
NUMBERS = re.compile(rf"({NUMBER.pattern}|[\s\[\](),;:/×·]|±|to|of|–|…|—|-)*")
HYPHEN = re.compile(r"(?<![\w.)\]])-(?=[.\d]|inf)|(?<=\de)-(?=\d)")
SET_UP = {"tag_setup", "tag_set-up"}
OPENS, CLOSES = re.compile(r"[(\[‘“]+$"), re.compile(r"^[)\]’”.,;:!?]+")
SHORT = 12  # letters of a name that stays on one line
CROWDED = 90  # letters of a row of six columns or more, above which they stand closer
AS_IT_IS = ["pre", "code", "script", "style", "textarea"]


def dress(page: BeautifulSoup) -> None:
    steps = (
        merge_folds, lower_hero, tabulate, join_printed, print_minus, hold_together, enlarge_pictures,
        keep_proportions,
    )  # fmt: skip
    for step in steps:
        step(page)


# --- folded cells --------------------------------------------------------------------------------


def merge_folds(page: BeautifulSoup) -> None:
    """Folded cells that follow each other with nothing to be seen between them become one bar."""
    for run in runs_of_folds(page):
        bar = run[-1].find("details", recursive=False)  # above what the last one shows
        what, first = what_is_folded(run), bar.select_one(".cell_input")
        for cell in run[:-1]:
            first.insert_before(cell.select_one(".cell_input").extract())
            cell.decompose()
        name_fold(bar, what, len(run))


def runs_of_folds(page: BeautifulSoup) -> list[list[Tag]]:
    runs: list[list[Tag]] = []
    for cell in page.select(".cell"):
        if cell.find("details", class_="above-input", recursive=False) is None:
            continue
        before = cell.find_previous_sibling()
        if runs and before is runs[-1][-1] and not shows_anything(before):
            runs[-1].append(cell)
        else:
            runs.append([cell])
    return runs


def shows_anything(cell: Tag) -> bool:
    output = cell.find(class_="cell_output", recursive=False)
    return output is not None and bool(output.get_text(strip=True) or output.select("img, svg, input, canvas"))


def what_is_folded(run: list[Tag]) -> str:
    return "set-up" if any(SET_UP & set(cell["class"]) for cell in run) else "code"


def name_fold(bar: Tag, what: str, cells: int) -> None:
    count = f" ({cells} cells)" if cells > 1 else ""
    for label, verb in (("collapsed", "Show"), ("expanded", "Hide")):
        bar.select_one(f"summary .{label}").string = f"{verb} {what}{count}"


def lower_hero(page: BeautifulSoup) -> None:
    """The chapter's first picture comes before the bar with its code."""
    for cell in page.select(".cell.tag_hero"):
        bar = cell.find("details", recursive=False)
        output = cell.find(class_="cell_output", recursive=False)
        if bar is not None and output is not None:
            output.insert_after(bar.extract())


# --- tables --------------------------------------------------------------------------------------


def tabulate(page: BeautifulSoup) -> None:
    """One style for all tables: numbers to the right with a true minus, no row for the index's name."""
    for table in page.select("article table"):
        if table.find_parent("table") or "field-list" in table.get("class", []):
            continue
        table["class"] = [*table.get("class", []), "belamy-table"]
        for style in table.parent.find_all("style", recursive=False):
            style.decompose()
        lift_index_name(table)
        drop_row_numbers(table)
        if table.get("id") == "T_settings":
            part_thousands(table)
        for corner in table.select("thead th"):
            if not corner.get_text(strip=True):
                corner.name = "td"  # the head of nothing
        align_numbers(table)
        if table.get("id") == "T_claims" or table.find_parent(class_="belamy-ledger"):
            label_cells(table)
        else:
            name_rows(table)
            close_ranks(table)
            let_scroll(page, table)


def rows_of(table: Tag, part: str) -> list[list[Tag]]:
    return [row.find_all(["td", "th"], recursive=False) for row in table.select(f"{part} > tr")]


def lift_index_name(table: Tag) -> None:
    """pandas gives the index's name a row of its own: it belongs into the empty corner."""
    head = rows_of(table, "thead")
    if len(head) < 2:
        return
    last, above = head[-1], head[-2]
    named = [cell for cell in last if cell.get_text(strip=True)]
    levels = len(named)
    if not levels or named != last[:levels] or any(cell.get_text(strip=True) for cell in above[:levels]):
        return
    if levels < len(last) and len(above) == len(last):
        for corner, cell in zip(above, named):
            corner.name, corner.string = "th", cell.get_text(" ", strip=True)
        last[0].parent.decompose()


def drop_row_numbers(table: Tag) -> None:
    """pandas numbers rows that have no names: 0, 1, 2 below an empty corner say nothing."""
    head, body = rows_of(table, "thead"), rows_of(table, "tbody")
    firsts = [row[0].get_text(strip=True) for row in body if row]
    nameless = head and all(row and not row[0].get_text(strip=True) for row in head)
    if nameless and len(body) > 1 and firsts == [str(k) for k in range(len(body))] and len(body[0]) > 2:
        for row in [*head, *body]:
            row[0].decompose()


def part_thousands(table: Tag) -> None:
    """Settings are Python's own numbers, 65536; the book writes 65,536."""
    for cell in (cell for row in rows_of(table, "tbody") for cell in row):
        if re.fullmatch(r"\d{4,}", cell.get_text(strip=True)):
            cell.string = f"{int(cell.get_text(strip=True)):,}"


def align_numbers(table: Tag) -> None:
    body = [row for row in rows_of(table, "tbody") if not any(cell.get("colspan") for cell in row)]
    width = max(map(len, body), default=0)
    for column in range(width):
        cells = [row[column] for row in body if len(row) == width]
        cells = [cell for cell in cells if cell.get_text(strip=True)]
        numbers = [cell for cell in cells if is_number(cell)]
        for cell in numbers:
            for text in cell.find_all(string=HYPHEN):
                text.replace_with(NavigableString(HYPHEN.sub("−", text)))
        if not cells or (len(numbers) < len(cells) and not is_mostly_numbers(cells, numbers)):
            for cell in numbers:  # '0.31 ± 0.02' among words; an interval may stand on a second line
                if "[" not in cell.get_text():
                    cell["class"] = [*cell.get("class", []), "belamy-one-line"]
            continue
        heads = [row[column] for row in rows_of(table, "thead") if len(row) == width]
        for cell in [*heads, *(row[column] for row in body if len(row) == width)]:
            cell["class"] = [*cell.get("class", []), "belamy-number"]


def is_mostly_numbers(cells: list[Tag], numbers: list[Tag]) -> bool:
    """A column of numbers in which a short word stands for one: 'none', 'digits'."""
    words = [cell for cell in cells if cell not in numbers]
    return len(numbers) > len(words) and all(len(cell.get_text(" ", strip=True)) <= SHORT for cell in words)


def name_rows(table: Tag) -> None:
    """What a row is called stays readable beside columns of numbers: a short name on one line, a long one on few."""
    for row in rows_of(table, "tbody"):
        if row and not is_number(row[0]) and not row[0].select(".math"):
            short = len(row[0].get_text(" ", strip=True)) <= SHORT
            row[0]["class"] = [*row[0].get("class", []), "belamy-one-line" if short else "belamy-long"]


def close_ranks(table: Tag) -> None:
    """Many columns with much in them stand closer, so that they fit the page."""
    rows = rows_of(table, "thead") + rows_of(table, "tbody")
    width = max(map(len, rows), default=0)
    longest = [max(len(row[k].get_text(" ", strip=True)) for row in rows if len(row) == width) for k in range(width)]
    if width >= 6 and sum(longest) > CROWDED:
        table["class"] = [*table["class"], "belamy-crowded"]


def is_number(cell: Tag) -> bool:
    text = cell.get_text(" ", strip=True)
    return text in "—–-" or (NUMBERS.fullmatch(text) is not None and re.search(r"\d|nan|inf", text) is not None)


def label_cells(table: Tag) -> None:
    """A table of claims stands on a phone as a card for each row, whose cells say what they are."""
    heads = [cell.get_text(" ", strip=True) for cell in (rows_of(table, "thead") or [[]])[0]]
    table["class"] = [*table["class"], "belamy-claims"]
    table["role"] = "table"
    for part in table.find_all(["thead", "tbody"], recursive=False):
        part["role"] = "rowgroup"
    for row in table.find_all("tr"):
        row["role"] = "row"
        for head, cell in zip(heads, row.find_all(["td", "th"], recursive=False)):
            cell["role"] = "columnheader" if row.parent.name == "thead" else "cell"
            cell["data-label"] = head
            cell["class"] = [*cell.get("class", []), f"belamy-{head.split()[0]}"]


def let_scroll(page: BeautifulSoup, table: Tag) -> None:
    """A table that is too wide scrolls in a box of its own, which shows that it does: belamy.js."""
    box = table.find_parent(class_="pst-scrollable-table-container")
    if box is None:
        box = table.wrap(page.new_tag("div"))
    box["class"] = ["belamy-scroll"]
    box.wrap(page.new_tag("div", attrs={"class": "belamy-wide"}))


# --- print-outs ----------------------------------------------------------------------------------


def join_printed(page: BeautifulSoup) -> None:
    """What a cell prints in several goes is one block."""
    for block in page.select(".cell_output > .output.stream"):
        before = block.find_previous_sibling()
        if before is None or before.get("class") != block.get("class"):
            continue
        first, second = before.find("pre"), block.find("pre")
        if first is not None and second is not None:
            if second.get_text(strip=True):
                first.extend(list(second.contents))
            block.decompose()


def print_minus(page: BeautifulSoup) -> None:
    """What Python prints has a hyphen for a minus."""
    for text in page.find_all(string=HYPHEN):
        if text.find_parent("pre") and text.find_parent(class_="cell_output"):
            text.replace_with(NavigableString(HYPHEN.sub("−", text)))


# --- lines ---------------------------------------------------------------------------------------


def hold_together(page: BeautifulSoup) -> None:
    """No line begins with the % of a number, or with the comma after a formula."""
    for text in page.find_all(string=re.compile(r"\d %")):
        if not text.find_parent(AS_IT_IS) and not text.find_parent(class_="math"):
            text.replace_with(NavigableString(re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", text)))
    for formula in page.select("article span.math"):
        before, after = formula.previous_sibling, formula.next_sibling
        opens = OPENS.search(before) if type(before) is NavigableString else None
        closes = CLOSES.match(after) if type(after) is NavigableString else None
        if not opens and not closes:
            continue
        held = formula.wrap(page.new_tag("span", attrs={"class": "belamy-held"}))
        if opens:
            before.replace_with(NavigableString(before[: opens.start()]))
            held.insert(0, NavigableString(opens[0]))
        if closes:
            after.replace_with(NavigableString(after[closes.end() :]))
            held.append(NavigableString(closes[0]))


# --- pictures ------------------------------------------------------------------------------------


def enlarge_pictures(page: BeautifulSoup) -> None:
    """A tap on a figure's picture opens it alone, where a phone can enlarge it."""
    for picture in page.select("article figure img"):
        if picture.find_parent("a") is None:
            picture.wrap(page.new_tag("a", href=picture["src"], attrs={"class": "belamy-enlarge"}))


def keep_proportions(page: BeautifulSoup) -> None:
    """A slider's picture that is wider than a phone shrinks as a whole."""
    for picture in page.select(".belamy-picture[style]"):
        size = re.search(r"width:(\d+)px;height:(\d+)px", picture["style"])
        if size:
            picture["style"] = picture["style"].replace(size[0], f"width:{size[1]}px;aspect-ratio:{size[1]}/{size[2]}")
