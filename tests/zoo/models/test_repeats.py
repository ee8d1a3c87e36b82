"""No six statements in a row stand in two model files: what models share is in `zoo.layers`."""

import ast
import itertools
from pathlib import Path

import zoo

ROW = 6
KEPT = "x.x = x"


class _Renamed(ast.NodeTransformer):
    """The same code whatever things are called and whatever numbers and texts are in it."""

    def visit_Name(self, node):
        return ast.Name("x", node.ctx)

    def visit_Attribute(self, node):
        return ast.Attribute(self.visit(node.value), "x", node.ctx)

    def visit_keyword(self, node):
        return ast.keyword("x", self.visit(node.value))

    def visit_Constant(self, node):
        return ast.Constant(0)

    def visit_JoinedStr(self, node):
        return ast.Constant(0)


def rows(source):
    """Every `ROW` lines that follow one another in a function, renamed.

    Left out are docstrings, arguments that a constructor keeps under their names, and
    `get_config`, which lists the same.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name != "get_config":
            body = node.body[1:] if ast.get_docstring(node) else node.body
            text = "\n".join(ast.unparse(_Renamed().visit(part)) for part in body)
            lines = [line for line in text.splitlines() if line != KEPT]
            found |= {"\n".join(lines[at : at + ROW]) for at in range(len(lines) - ROW + 1)}
    return found


def test_no_row_of_statements_stands_in_two_model_files():
    folder = Path(zoo.__file__).parent / "models"
    each = {path.name: rows(path.read_text("utf-8")) for path in folder.glob("*.py")}
    assert len(each) > 12 and sum(map(len, each.values())) > 200
    twice = {
        (one, other): sorted(each[one] & each[other])
        for one, other in itertools.combinations(sorted(each), 2)
        if each[one] & each[other]
    }
    assert not twice


def test_a_row_is_seen_under_other_names():
    first = "def f(a):\n" + "".join(f"    a{n} = g(a, {n})\n" for n in range(6))
    second = "def call(self, clip):\n    '''Text.'''\n    self.n = 1\n" + "".join(
        f"    maps_{n} = self.layer(clip, {n + 7})\n" for n in range(6)
    )
    shorter = "def f(a):\n" + "".join(f"    a{n} = g(a, {n})\n" for n in range(5))
    assert not rows(first) & rows(shorter)
    assert not rows(first) & rows(second)  # a function of its own is not one of an object
    assert rows(first) & rows(second.replace("self.layer(", "layer("))
