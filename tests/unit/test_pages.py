"""The pages for a successor say what the code has: files, threads, tables, statements, states and errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from gateway.model.delivery import DeliveryState
from tests.support.source_trees import nodes_of
from tests.unit.test_architecture import LAYERS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "gateway"
SQL = PACKAGE / "sqlite" / "sql"
PAGES = [
    ROOT / name
    for name in (
        "docs/design.md",
        *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs" / "design").glob("*.md"))),
        "docs/threads.md",
        "docs/data-model.md",
        "docs/flows.md",
        "docs/errors.md",
        "docs/extensions.md",
        "docs/extending.md",
        "CONTRIBUTING.md",
    )
]
FILE = re.compile(r"(?<![\w./-])((?:[\w-]+/)*[\w-]+\.(?:py|sql|sh|toml))\b")
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")
MADE_UP = {"pyproject.toml", "schema_N.sql"}
"""Names that stand for a file of the reader."""
SOURCES = sorted(PACKAGE.rglob("*.py"))


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_names_is_there(path: Path) -> None:
    names = {name for name in FILE.findall(path.read_text()) if name.rpartition("/")[2] not in MADE_UP}
    places = (PACKAGE, ROOT, SQL, path.parent)
    assert [name for name in sorted(names) if not any((place / name).is_file() for place in places)] == []


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda path: path.name,
)
def test_every_link_leads_to_a_file(path: Path) -> None:
    links = {link for link in LINK.findall(path.read_text()) if "://" not in link}
    assert [link for link in sorted(links) if not (path.parent / link).exists()] == []


EVERY_PAGE = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
IN_CODE_FONT = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
OF_THE_READER = re.compile(r"var/|rules/site\.yaml|(?:segments|large|quarantine)/|large/N+\.obj")
"""Paths of a site, of its spool, and names that stand for many."""


@pytest.mark.parametrize("path", EVERY_PAGE, ids=lambda path: path.name)
def test_every_path_in_code_font_is_there(path: Path) -> None:
    names = {name for name in IN_CODE_FONT.findall(path.read_text()) if not OF_THE_READER.match(name)}
    places = (PACKAGE, ROOT, SQL, path.parent)
    made_up = {name for name in names if name.rpartition("/")[2] in MADE_UP}
    assert [name for name in sorted(names - made_up) if not any((place / name).exists() for place in places)] == []


IN_A_COMMENT = re.compile(r"`(gateway(?:\.\w+)+|\w+\.py)`")


def test_every_module_that_a_statement_names_is_there() -> None:
    """In the comments of SQL: ``gateway.room.module``, or a file of the adapter."""
    named = {(path.name, name) for path in SQL.glob("*.sql") for name in IN_A_COMMENT.findall(path.read_text())}
    assert len(named) > 3

    def is_there(name: str) -> bool:
        file = SQL.parent / name if name.endswith(".py") else (ROOT / name.replace(".", "/")).with_suffix(".py")
        return file.is_file()

    assert [f"{statement}: {name}" for statement, name in sorted(named) if not is_there(name)] == []


CONFLICT_MARK = re.compile(rb"^(?:<{7}|>{7}|\|{7}) |^={7}\r?$", re.MULTILINE)
FOLDERS = ("gateway", "docs", "tests", "benchmarks", "tools", "rules", "schemas")
TEXTS = {".py", ".md", ".sql", ".json", ".toml", ".yaml", ".yml", ".sh", ".txt"}


def test_no_text_holds_marks_of_a_merge() -> None:
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.suffix in TEXTS]
    assert len(files) > 1000
    assert [str(path.relative_to(ROOT)) for path in files if CONFLICT_MARK.search(path.read_bytes())] == []


def test_marks_of_a_merge_are_found() -> None:
    ours, between, theirs = b"<" * 7 + b" HEAD\n", b"=" * 7 + b"\n", b">" * 7 + b" theirs\n"
    assert [bool(CONFLICT_MARK.search(b"a\n" + mark)) for mark in (ours, between, theirs)] == [True] * 3
    assert not CONFLICT_MARK.search(b"a heading\n" + b"=" * 9 + b"\n")


@cache
def members() -> dict[str, set[str]]:
    """Class → the names of its attributes and methods, with those of its bases."""
    own: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in (each for each in nodes_of(path) if isinstance(each, ast.ClassDef)):
            names = own.setdefault(node.name, set())
            bases[node.name] = [ast.unparse(base).partition("[")[0] for base in node.bases]
            for each in ast.walk(node):
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                    names.add(each.name)
                elif isinstance(each, ast.Attribute | ast.Name) and isinstance(each.ctx, ast.Store):
                    names.add(each.attr if isinstance(each, ast.Attribute) else each.id)
    for name, above in bases.items():
        for base in above:
            own[name] |= own.get(base, set())
    return own


MEMBER = re.compile(r"\b([A-Z]\w*[a-z]\w*)\.([a-z_]\w*)\b")
SUFFIXES = {"py", "md"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_member_of_a_class_that_a_page_names_is_there(path: Path) -> None:
    named = {(owner, name) for owner, name in MEMBER.findall(path.read_text()) if name not in SUFFIXES}
    assert [f"{owner}.{name}" for owner, name in sorted(named) if name not in members().get(owner, set())] == []


def test_the_design_has_every_part_and_the_layers_of_the_architecture_test() -> None:
    text = page("design.md")
    tree = text.partition("```text\n")[2].partition("```")[0]
    parts = {path.name for path in PACKAGE.iterdir() if not path.name.startswith("_") and path.name != "py.typed"}
    named = {word.rstrip("/") for word in re.findall(r"[\w.]+", tree)}
    assert sorted(parts - named) == []
    listed = re.findall(r"^\d+\. ((?:`\w+`(?:,\s+)?)+)$", text.partition("**Layers.**")[2], re.MULTILINE)
    written = [set(re.findall(r"`(\w+)`", row)) for row in listed]
    assert written == [layer for layer in reversed(LAYERS) if layer != {"__main__"}]


def test_the_glossary_is_in_order_and_has_one_sentence_each() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (.+) \|$", page("design.md").partition("## Glossary")[2], re.MULTILINE)
    words = [word for word, _ in rows if word not in ("word", "---")]
    assert len(words) > 40
    assert words == sorted(words, key=str.lower)
    assert [word for word, text in rows if word not in ("word", "---") and not text.endswith(".")] == []


def test_every_term_of_the_glossary_is_used() -> None:
    """In the code or on another page; a term that went out of use goes."""
    table = page("design.md").partition("## Glossary")[2]
    terms = [
        term for cell, _ in re.findall(r"^\| ([^|]+) \| (.+) \|$", table, re.MULTILINE) for term in cell.split(", ")
    ]
    pages = [path.read_text() for path in (ROOT / "docs").rglob("*.md") if path.name != "design.md"]
    used = "\n".join((*pages, *(path.read_text() for path in SOURCES))).lower()
    stems = {term: re.escape(term.lower().removesuffix("e").removesuffix("y")) for term in terms if term != "---"}
    assert [term for term, stem in stems.items() if not re.search(stem.replace(r"\ ", r"[\s_-]+"), used)] == []


def test_no_page_of_the_design_is_longer_than_250_lines() -> None:
    pages = [ROOT / "docs" / "design.md", *(ROOT / "docs" / "design").glob("*.md")]
    assert [path.name for path in pages if len(path.read_text().splitlines()) > 250] == []


RIDDLE = re.compile(r"(?:^|[.:*|] )(?:What|Who|Whoever|Whatever|Nobody|Of) \w+")
"""A sentence that begins so hides its subject."""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_sentences_begin_with_their_subject(path: Path) -> None:
    prose = path.read_text().partition("| good | bad, because |")  # examples of bad sentences
    text = prose[0] + prose[2].partition("\n\n")[2]
    lines = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).splitlines()
    assert [line for line in lines if RIDDLE.search(line)] == []


def thread_names() -> Iterator[str]:
    """The constant names that are given to threads and executors of the gateway itself."""
    for path in SOURCES:
        for call in (node for node in nodes_of(path) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func)
            keywords = {one.arg: one.value for one in call.keywords}
            name: ast.expr | None = None
            if called.endswith("Thread") or called == "super().__init__":
                name = keywords.get("name")
            elif called.endswith("ThreadPoolExecutor"):
                name = keywords.get("thread_name_prefix")
            elif called == "started" and len(call.args) == 2:
                name = call.args[1]
            elif called.endswith("create_task"):
                name = keywords.get("name")
            if isinstance(name, ast.JoinedStr) and isinstance(name.values[0], ast.Constant):
                name = name.values[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value.strip()


def test_every_named_thread_and_task_stands_in_the_page() -> None:
    names = set(thread_names())
    assert {"spool-committer", "index-reader", "rules", "courier"} <= names
    text = page("threads.md")
    assert [name for name in sorted(names) if not re.search(rf"`{re.escape(name)}( NAME)?`", text)] == []


def test_every_task_of_the_running_gateway_stands_in_the_page() -> None:
    (run,) = (
        node
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "run" and "TaskGroup" in ast.unparse(node)
        if "on_ready" in ast.unparse(node.args)
    )
    begun = re.findall(r"create_task\((?:\w+\.)+(\w+)\(\)\)", ast.unparse(run))
    assert len(begun) > 4
    rows = page("threads.md").partition("| task | does |")[2].partition("\n\n")[0]
    written = re.findall(r"^\| `\w+\.(\w+)` \|", rows, re.MULTILINE)
    assert sorted(written) == sorted(begun)


def tables() -> set[str]:
    text = "\n".join(path.read_text() for path in SQL.glob("schema_*.sql"))
    return set(re.findall(r"CREATE TABLE (\w+)", text)) - set(re.findall(r"DROP TABLE (\w+)", text))


def test_every_table_of_the_schema_stands_in_the_page() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page("data-model.md"), re.MULTILINE)
    written = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert tables() > {"delivery", "instance"}
    assert tables() <= written


def test_the_page_names_the_newest_schema() -> None:
    newest = max(SQL.glob("schema_*.sql"), key=lambda path: int(path.stem.rpartition("_")[2]))
    assert f"`{newest.name}`" in page("data-model.md")


def test_every_state_and_every_statement_that_changes_one_stands_in_the_page() -> None:
    text = page("data-model.md")
    assert [state.value for state in DeliveryState if f"`{state.value}`" not in text] == []
    changing = [
        path.name
        for path in SQL.glob("*.sql")
        if re.search(r"^(UPDATE delivery|DELETE FROM delivery|INSERT INTO delivery)", path.read_text(), re.MULTILINE)
        and not path.name.startswith(("schema_", "salvage_", "fill_"))
    ]
    assert len(changing) > 5
    assert [name for name in sorted(changing) if f"`{name}`" not in text] == []


@cache
def errors() -> dict[str, tuple[str, int | None]]:
    """Public class → (its base, the status it sets), of everything below `GatewayError`."""
    homes, bases = {}, {}
    for path in SOURCES:
        for node in (each for each in nodes_of(path) if isinstance(each, ast.ClassDef)):
            homes[node.name] = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            bases[node.name] = ast.unparse(node.bases[0]) if node.bases else ""

    def is_error(name: str) -> bool:
        return name == "GatewayError" or (name in bases and is_error(bases[name]))

    return {
        name: (bases[name], vars(getattr(import_module(homes[name]), name)).get("dimse_status"))
        for name in homes
        if is_error(name) and not name.startswith("_")
    }


def drawn() -> dict[str, tuple[str, int | None]]:
    """The same as the page draws it; a status that is drawn is the class's own."""
    tree = page("errors.md").partition("```text\n")[2].partition("```")[0]
    above: list[str] = []
    found: dict[str, tuple[str, int | None]] = {}
    for line in tree.splitlines():
        match = re.match(r"([│├└─ ]*)((?:\w+, )*\w+)(?: +(0x[0-9A-F]{4}))?", line)
        assert match is not None
        depth = len(match[1]) // 4
        for name in match[2].split(", "):
            found[name] = (above[depth - 1] if depth else "Exception", int(match[3], 16) if match[3] else None)
        above[depth:] = [match[2].split(", ")[-1]]
    return found


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    code, written = errors(), drawn()
    assert {name: base for name, (base, _) in written.items()} == {name: base for name, (base, _) in code.items()}


def test_the_statuses_of_the_tree_are_those_of_the_code() -> None:
    code, written = errors(), drawn()

    def status_of(tree: dict[str, tuple[str, int | None]], name: str) -> int | None:
        base, own = tree[name]
        return own if own is not None or base not in tree else status_of(tree, base)

    assert {name: status_of(written, name) for name in written} == {name: status_of(code, name) for name in code}


def test_every_other_exception_stands_in_the_page() -> None:
    classes = {
        node.name
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and node.bases
        and ast.unparse(node.bases[0]) in {"Exception", "ValueError", "RuntimeError"}
    }
    assert len(classes) > 5
    text = page("errors.md")
    assert [name for name in sorted(classes - {"GatewayError"}) if f"`{name}`" not in text] == []
