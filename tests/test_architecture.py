"""The shape of the package: who may import whom, who owns which library, how long a module grows."""

import ast
import re
from pathlib import Path

import pytest

import orchestrator

ROOT = Path(orchestrator.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "template" not in path.parts)

# Everybody may read the vocabulary. It knows records, files and words, and none of the packages.
VOCABULARY = {
    "_version",
    "clock",
    "cron",
    "cron_advice",
    "cron_expression",
    "crashpoints",
    "distribution",
    "document",
    "errors",
    "ids",
    "init_process",
    "journal",
    "layout",
    "limits",
    "locks",
    "masking",
    "model",
    "outliving",
    "output_order",
    "private_file",
    "protocol",
    "process_tree",
    "heartbeat",
    "regular",
    "settings",
    "state_dir",
    "terminal",
    "trust",
    "typed",
    "yaml_text",
}
PURE = VOCABULARY | {"definitions", "planning", "engine"}
MAY_IMPORT = {
    "definitions": VOCABULARY,
    "io_managers": VOCABULARY | {"definitions"},
    "planning": VOCABULARY | {"definitions", "io_managers"},
    "engine": VOCABULARY | {"definitions", "planning"},
    "attempts": VOCABULARY,
    "code_locations": VOCABULARY | {"attempts"},
    "executors": VOCABULARY | {"attempts", "code_locations"},
    "kubernetes": VOCABULARY | {"attempts", "executors"},
    "runlog": VOCABULARY,
    "catalog": VOCABULARY | {"runlog"},
    "worker": VOCABULARY | {"attempts", "definitions", "io_managers", "planning"},
    "in_process": PURE | {"attempts", "io_managers", "worker"},
    "testing": PURE | {"attempts", "executors", "runlog", "service"},
    "service": PURE | {"attempts", "executors", "code_locations", "kubernetes", "runlog", "catalog"},
    "service_manager": VOCABULARY | {"service"},
    "daemon": PURE | {"attempts", "executors", "code_locations", "runlog", "catalog", "service"},
    "simulation": PURE | {"code_locations", "runlog", "catalog", "service", "daemon"},
    # The command line is a shell around use-cases: it opens no store, no run and no process itself.
    "cli": VOCABULARY | {"planning", "engine", "service", "service_manager", "daemon", "simulation"},
    "__main__": {"cli", "init_process"},
    # The public names, wherever they are defined.
    "__init__": {"_version", "definitions", "errors", "in_process", "io_managers", "model"},
}
# The user's own DuckDB file is opened by an IO manager, in a step's process; ours only by the catalog.
OWNED = {
    "duckdb": {"catalog", "io_managers"},
    "typer": {"cli"},
    "rich": {"cli"},
    "watchdog": {"daemon"},
    "yaml": {"yaml_text", "cli"},
    "beartype": {"definitions"},
}
# The engine knows of definitions only what a retry policy is.
ENGINE_MAY_USE = {"orchestrator.definitions.retry"}

# Which files a run consists of, and who may know. `state_dir` creates the directories.
LAYOUT = {"orchestrator.layout": {"runlog", "attempts", "state_dir"}, "orchestrator.runlog.files": {"runlog"}}

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
FORBIDDEN_NAMES = ("Manager", "Helper", "Utils", "Mixin")


def area(path):
    """The package, or the vocabulary module, that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """(dotted name, whether it stands inside a function) for every import of a file."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import on line {node.lineno}"
            yield from ((f"{node.module}.{alias.name}", id(node) in inside) for alias in node.names)


@pytest.fixture(params=MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def module(request):
    return request.param


def test_imports_point_down(module):
    here = area(module)
    allowed = VOCABULARY if here in VOCABULARY else MAY_IMPORT[here]
    used = {name.split(".")[1] for name, _ in imports(module) if name.startswith("orchestrator.")}
    assert used <= allowed | {here}


def test_the_engine_uses_nothing_of_definitions_but_the_retry_policy(module):
    if area(module) == "engine":
        used = {name.rpartition(".")[0] for name, _ in imports(module) if name.startswith("orchestrator.definitions")}
        assert used <= ENGINE_MAY_USE


def test_only_commands_import_our_own_modules_late(module):
    """Late imports keep `orchestrator --help` fast; anywhere else they hide a cycle."""
    if area(module) not in ("cli", "__main__"):
        assert [name for name, inside in imports(module) if inside and name.startswith("orchestrator")] == []


def test_a_library_has_one_owner(module):
    used = {name.split(".")[0] for name, _ in imports(module)} & OWNED.keys()
    assert all(area(module) in OWNED[library] for library in used)


@pytest.mark.parametrize("private", LAYOUT)
def test_the_files_of_runs_are_known_to_few(module, private):
    if area(module) not in LAYOUT[private]:
        assert [name for name, _ in imports(module) if name.startswith(private)] == []


def test_modules_that_a_docstring_names_are_there(module):
    packages = "|".join(path.name for path in ROOT.iterdir() if path.is_dir())
    for package, name in re.findall(
        rf"`({packages})\.([a-z_]+)", ast.get_docstring(ast.parse(module.read_text())) or ""
    ):
        assert (ROOT / package / f"{name}.py").exists(), f"{package}.{name}"


def test_no_module_outgrows_a_sitting(module):
    assert len(module.read_text().splitlines()) <= LONGEST_MODULE


def test_no_function_outgrows_a_screen(module):
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


def test_names_say_what_a_thing_is(module):
    names = [node.name for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ClassDef)]
    allowed = {"IOManager", "IOManagerDefinition"}
    shipped = {"FilesystemIOManager", "MemoryIOManager", "ParquetIOManager", "DuckDBIOManager"}
    assert [name for name in names if name.endswith(FORBIDDEN_NAMES) and name not in allowed | shipped] == []


def test_every_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_only_the_clock_reads_the_clock(module):
    source = module.read_text()
    if area(module) != "clock":
        assert "datetime.now(" not in source
        assert "time.time(" not in source


def test_the_public_names_are_the_ones_promised():
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name) is not None
    assert set(orchestrator._HOME) | {"__version__"} == set(orchestrator.__all__)
