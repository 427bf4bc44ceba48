"""The wall of portraits on the preface: `python -m tools.wall` paints it anew.

Four rows of eight: what the book's own program painted, and what networks that saw such pictures drew
in recorded runs.
"""

from pathlib import Path

from PIL import Image

from tools.book import ROOT

TILE, GAP, COLUMNS = 112, 4, 8
PICTURES = {  # of a recorded run: the side of its tiles, and the row of them that is shown
    "dcgan-portraits/dcgan.png": (64, 0),
    "stackgan-portraits/stages.png": (64, 2),
    "vae-portraits/samples.png": (128, 0),
}


def rows_of_tiles() -> list[list[Image.Image]]:
    """The painter's row, then one for each recorded picture."""
    from belamy.data import portraits
    from belamy.plots import as_array

    painted = portraits(64, TILE, seed=3).images[41 : 41 + COLUMNS]
    rows = [[Image.fromarray((as_array(one[None], padding=0) * 255).astype("uint8")) for one in painted]]
    for name, (side, row) in PICTURES.items():
        grid = Image.open(ROOT / "data" / "runs" / name).convert("RGB")
        columns = (grid.width - 1) // (side + 1)
        places = [divmod(row * columns + number, columns) for number in range(COLUMNS)]
        corners = [(1 + x * (side + 1), 1 + y * (side + 1)) for y, x in places]
        tiles = [grid.crop((x, y, x + side, y + side)) for x, y in corners]
        rows.append([tile.resize((TILE, TILE), Image.Resampling.LANCZOS) for tile in tiles])
    return rows


def wall() -> Image.Image:
    rows = rows_of_tiles()
    size = (COLUMNS * (TILE + GAP) + GAP, len(rows) * (TILE + GAP) + GAP)
    picture = Image.new("RGB", size, (34, 28, 24))
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            picture.paste(tile, (GAP + x * (TILE + GAP), GAP + y * (TILE + GAP)))
    return picture


def main() -> None:
    path: Path = ROOT / "chapters" / "assets" / "wall.jpg"
    wall().save(path, quality=88, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
