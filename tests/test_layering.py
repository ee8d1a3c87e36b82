"""Reads the imports of every module, also those inside functions, and fails on a breach."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("zoo", "data_pipelines", "exports")
# What may be loaded when the package is imported; the rest is imported inside functions.
THIRD_PARTY_AT_IMPORT = {
    "zoo": {"keras", "numpy", "tensorflow", "tensorflow_probability"},
    "data_pipelines": {"numpy", "tensorflow"},
    "exports": {"keras", "numpy", "tensorflow"},
}
# Inside zoo: a module imports those to the right of its own kind only.
ORDER = ("registry", "presets", "models", "layers")
KNOW_NO_MODEL = ("losses", "callbacks")


def modules():
    return sorted(
        path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    )


def module_name(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source, path, module_level_only=False):
    """Full names of what a module imports: `from a.b import c` gives `a.b` and `a.b.c`."""
    tree = ast.parse(source)
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    nodes = tree.body if module_level_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def is_command(path):
    return path.parts[:2] == ("zoo", "commands") or path.name == "__main__.py"


def inside(name, package):
    return name == package or name.startswith(package + ".")


def breaches(path, source):
    """What `source` at `path` imports and must not: list of str."""
    if is_command(path):
        return []
    found = imports(source, path)
    owner = path.parts[0]
    forbidden = {
        "zoo": ("data_pipelines", "exports"),
        "data_pipelines": ("zoo", "exports"),
        "exports": (),
    }[owner]
    wrong = [name for name in found if any(inside(name, package) for package in forbidden)]
    wrong += [
        name for name in found if inside(name, "zoo.commands") or inside(name, "zoo.__main__")
    ]
    if owner == "exports":
        wrong += [
            name
            for name in found
            if inside(name, "data_pipelines")
            and name != "data_pipelines"  # the package that `from data_pipelines import` names
            and not inside(name, "data_pipelines.transforms")
        ]
        if "data_pipelines" in found and "data_pipelines.transforms" not in found:
            wrong.append("data_pipelines")
    if owner == "zoo" and len(path.parts) > 1:
        kind = path.with_suffix("").parts[1]
        above = ORDER[: ORDER.index(kind)] if kind in ORDER else ()
        above += ("models", "presets", "registry") if kind in KNOW_NO_MODEL else ()
        wrong += [name for name in found if any(inside(name, f"zoo.{layer}") for layer in above)]
    return sorted(set(wrong))


@pytest.mark.parametrize("path", modules(), ids=str)
def test_imports_only_what_its_layer_may(path):
    assert breaches(path, (ROOT / path).read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source", "wrong"),
    [
        ("zoo/losses.py", "import data_pipelines", ["data_pipelines"]),
        ("zoo/losses.py", "def f():\n    from exports import load", ["exports", "exports.load"]),
        ("data_pipelines/clips.py", "from zoo.layers import X", ["zoo.layers", "zoo.layers.X"]),
        ("exports/reading.py", "from data_pipelines import clips", ["data_pipelines.clips",
                                                                     "data_pipelines"]),
        ("exports/reading.py", "import data_pipelines", ["data_pipelines"]),
        ("exports/reading.py", "from data_pipelines import transforms", []),
        ("exports/reading.py", "from data_pipelines.transforms import to_float", []),
        ("exports/reading.py", "from zoo.commands.console import say", ["zoo.commands.console",
                                                                        "zoo.commands.console.say"]),
        ("zoo/layers/x.py", "from zoo.models import base", ["zoo.models", "zoo.models.base"]),
        ("zoo/layers/x.py", "from ..models import base", ["zoo.models", "zoo.models.base"]),
        ("zoo/models/x.py", "import zoo.presets", ["zoo.presets"]),
        ("zoo/models/x.py", "from zoo.layers import X", []),
        ("zoo/presets.py", "from zoo import registry", ["zoo.registry"]),
        ("zoo/registry.py", "from zoo.presets import PRESETS", []),
        ("zoo/callbacks.py", "import zoo.models.base", ["zoo.models.base"]),
        ("zoo/commands/train.py", "import data_pipelines", []),
    ],
)  # fmt: skip
def test_a_breach_is_seen(path, source, wrong):
    assert breaches(Path(path), source) == sorted(wrong)


@pytest.mark.parametrize("path", [p for p in modules() if not is_command(p)], ids=str)
def test_optional_packages_are_imported_inside_functions(path):
    found = {
        name.partition(".")[0]
        for name in imports((ROOT / path).read_text("utf-8"), path, module_level_only=True)
    }
    third_party = found - set(sys.stdlib_module_names) - set(PACKAGES)
    assert third_party <= THIRD_PARTY_AT_IMPORT[path.parts[0]]


@pytest.mark.parametrize("path", [p for p in modules() if not is_command(p)], ids=str)
def test_library_code_does_not_print(path):
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    lines = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert lines == []


def test_every_module_is_tested():
    """Each has a test file of its name where `tests/` mirrors it, or tests that import it."""
    tested = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tested |= imports(path.read_text("utf-8"), path.relative_to(ROOT))
    untested = [
        str(path)
        for path in modules()
        if path.name not in ("__init__.py", "__main__.py")
        and not (ROOT / "tests" / path.parent / f"test_{path.name}").exists()
        and module_name(path) not in tested
    ]
    assert untested == []
