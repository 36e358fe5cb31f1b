"""The list of differences in `docs/handlers.md`: `python -m tests.loopback.handler_contract.document` writes it."""

from __future__ import annotations

from pathlib import Path

from tests.loopback.handler_contract.differences import DIFFERENCES, GENERAL
from tests.loopback.handler_contract.table import ROWS

PAGE = Path(__file__).parents[3] / "docs" / "handlers.md"
BEGIN, END = "<!-- differences: begin -->\n", "<!-- differences: end -->\n"


def _cell(text: str) -> str:
    if "x" * 64 in text:
        text = text.replace("x" * 65, "x … (65)").replace("x" * 64, "x … (64)")
    text = text.replace("\n", "\\n")
    return f"`{text}`" if text else "not the same each time"


def table() -> str:
    """Both lists, in Markdown."""
    lines = ["| in every response | section | why |", "|---|---|---|"]
    lines += [f"| {name} | {section} | {why} |" for name, (section, why) in GENERAL.items()]
    lines += ["", "| row | gateway | stock pynetdicom 3.0.4 | section | why |", "|---|---|---|---|---|"]
    for name, (stock, section, why) in DIFFERENCES.items():
        row = ROWS[name]
        ours = " ".join(filter(None, [row.sees, *row.notes, row.ends]))
        lines.append(f"| {name} | {_cell(ours)} | {_cell(stock)} | {section} | {why} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
