"""Draws the pictures of docs/concepts.md as SVG: `python tools/pictures.py` rewrites docs/pictures."""

from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
INK, MUTED, LINE, CARD = "#1f262e", "#5d6873", "#c9d0d0", "#ffffff"
TEAL, MARK, BLUE, ORANGE = "#0d7c6b", "#a8296f", "#2f7fd6", "#e8843f"


class Drawing:
    """Shapes on a card, collected as SVG text."""

    def __init__(self, width: int, height: int, label: str) -> None:
        font = "system-ui,-apple-system,Segoe UI,Roboto,sans-serif"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="{font}">'
        )
        card = f'<rect width="{width}" height="{height}" rx="14" fill="{CARD}" stroke="{LINE}"/>'
        self.parts = [head, f"<title>{escape(label)}</title>", card]

    def box(self, x: float, y: float, w: float, h: float, fill: str = "#f4f5f4", stroke: str = LINE) -> None:
        """A rounded box."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="7" fill="{fill}" stroke="{stroke}"/>'
        )

    def text(self, x: float, y: float, text: str, size: int = 14, fill: str = INK, bold: bool = False) -> None:
        """A line of text around x."""
        weight = ' font-weight="600"' if bold else ""
        about = f'font-size="{size}" fill="{fill}"{weight} text-anchor="middle"'
        self.parts.append(f'<text x="{x:g}" y="{y:g}" {about}>{escape(text)}</text>')

    def arrow(self, x0: float, y0: float, x1: float, y1: float, stroke: str = MUTED) -> None:
        """A straight arrow."""
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        left = f"{x1 - 8 * dx + 4 * dy:g},{y1 - 8 * dy - 4 * dx:g}"
        right = f"{x1 - 8 * dx - 4 * dy:g},{y1 - 8 * dy + 4 * dx:g}"
        line = f'<line x1="{x0:g}" y1="{y0:g}" x2="{x1 - 6 * dx:g}" y2="{y1 - 6 * dy:g}" stroke="{stroke}"'
        self.parts.append(
            f'{line} stroke-width="1.6"/><polygon points="{x1:g},{y1:g} {left} {right}" fill="{stroke}"/>'
        )

    def save(self, name: str) -> None:
        """Write the file."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text("\n".join([*self.parts, "</svg>"]) + "\n", encoding="utf-8")


def walk() -> Drawing:
    """Caption and clip meet in codes."""
    d = Drawing(960, 250, "From a sentence to a motion")
    steps = [
        ("clip", "22 joints, metres"),
        ("features", "263 numbers a frame"),
        ("codes", "one word for 4 frames"),
        ("sequence model", "writes codes"),
        ("codes", ""),
        ("features", ""),
        ("clip", "to see and export"),
    ]
    for n, (name, about) in enumerate(steps):
        x = 20 + n * 132
        middle = name == "sequence model"
        d.box(x, 100, 116, 62, "#e6f2f0" if middle else "#f4f5f4", TEAL if middle else LINE)
        d.text(x + 58, 127 if about else 136, name, 12, bold=True)
        d.text(x + 58, 147, about, 10, MUTED)
        if n:
            d.arrow(x - 16, 131, x, 131)
    d.box(372, 22, 206, 42)
    d.text(475, 48, "a man kicks something", 14)
    d.arrow(475, 64, 475, 100)
    d.box(280, 194, 400, 38, "#fbeef5", MARK)
    d.text(480, 218, "unlearn edits a copy; evaluate compares it with the original", 13, MARK)
    d.arrow(350, 194, 350, 163, MARK)
    d.arrow(475, 194, 475, 163, MARK)
    return d


def lcr() -> Drawing:
    """Rows of the codebook before and after."""
    d = Drawing(960, 322, "Latent code replacement")
    shares = [(2, 30), (41, 3), (28, 26), (5, 22), (63, 1), (12, 35), (8, 9), (37, 2)]
    d.text(190, 34, "how often a code occurs", 14, bold=True)
    d.text(190, 54, "in clips of the concept, and in others", 12, MUTED)
    d.text(500, 34, "codebook before", 14, bold=True)
    d.text(800, 34, "codebook after", 14, bold=True)
    for n, (concept, other) in enumerate(shares):
        y, taken = 72 + n * 27, concept > 10 * other
        d.box(60, y, 2 + 2 * concept, 9, MARK, MARK)
        d.box(60, y + 10, 2 + 2 * other, 9, BLUE, BLUE)
        d.text(36, y + 14, f"{n}", 12, MUTED)
        d.text(290, y + 15, "of the concept" if taken else "", 12, MARK)
        for side, shift in ((400, 0), (700, 5)):
            for k in range(10):
                tone = 25 + (n * 37 + k * 53 + n * k * 11) % 60
                safe = 35 + (k * 29) % 40
                replaced = taken and shift
                fill = f"hsl(170,45%,{safe}%)" if replaced else f"hsl({320 if taken else 210},45%,{tone}%)"
                d.parts.append(f'<rect x="{side + k * 20}" y="{y}" width="18" height="19" rx="3" fill="{fill}"/>')
        if taken:
            d.arrow(612, y + 10, 690, y + 10, MARK)
    d.text(800, 308, "rows of the concept now hold the mean of safe ones", 12, MUTED)
    return d


def serpent() -> Drawing:
    """Twelve elements, those kept, the short sequence, and back."""
    d = Drawing(960, 320, "Selective resampling")
    steps = [0.1, 0.2, 0.2, 0.4, 0.2, 0.1, 0.5, 0.5, 0.2, 0.3, 0.1, 0.4, 0.6, 0.2]
    total, kept = 0.0, []
    for n, step in enumerate(steps):
        if int(total + step + 1e-9) > int(total + 1e-9):
            kept.append(n)
        total += step
        x = 130 + n * 58
        on = n in kept
        d.box(x, 40, 44, 34, "#e6f2f0" if on else "#f4f5f4", TEAL if on else LINE)
        d.text(x + 22, 62, f"x{n + 1}", 13, TEAL if on else INK, bold=on)
        d.box(x + 14, 128 - 70 * step, 16, 70 * step, TEAL if on else "#c7cdd6", "none")
        d.text(x + 22, 146, f"{total:.1f}", 11, TEAL if on else MUTED, bold=on)
        d.box(x, 268, 44, 30, "#eef4fb", BLUE)
    d.text(64, 62, "elements", 12, MUTED)
    d.text(64, 110, "time of each", 12, MUTED)
    d.text(64, 146, "running time", 12, MUTED)
    d.text(64, 208, "short sequence", 12, MUTED)
    d.text(64, 288, "restored", 12, MUTED)
    for m, n in enumerate(kept):
        x, there = 152 + n * 58, 330 + m * 130
        d.arrow(x, 150, there, 188, TEAL)
        d.box(there - 50, 188, 100, 32, "#e6f2f0", TEAL)
        d.text(there, 208, f"x{n - 1} x{n} x{n + 1}", 12)
        end = kept[m + 1] if m + 1 < len(kept) else len(steps)
        d.arrow(there, 220, 152 + (n + end - 1) * 29, 267, BLUE)
    d.text(840, 208, "state-space layer", 13, TEAL, bold=True)
    return d


if __name__ == "__main__":
    walk().save("walk.svg")
    lcr().save("lcr.svg")
    serpent().save("serpent.svg")
