"""Properties of normal form 2 on generated functions."""

from __future__ import annotations

import ast
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import Invalid
from holdfast.functions.normal_form_2 import denormalize_2, normalize_2

_LOCALS = ("alpha", "beta", "gamma", "delta", "other")
_FREE = ("print", "math", "free_name")


class _Maker:
    """Makes the source of a function; the same choices give the same function in other names."""

    def __init__(self, seed: int, names: dict[str, str]) -> None:
        self.random = random.Random(seed)
        self.names = names

    def name(self) -> str:
        return self.names[self.random.choice(_LOCALS)]

    def expression(self, depth: int) -> str:
        kind = self.random.randrange(9 if depth else 3)
        if kind == 0:
            return self.name()
        if kind == 1:
            return str(self.random.randrange(100))
        if kind == 2:
            return self.random.choice(_FREE)
        inner = self.expression(depth - 1)
        if kind == 3:
            return f"({inner} {self.random.choice('+-*')} {self.expression(depth - 1)})"
        if kind == 4:
            return f"[{self.name()} + {inner} for {self.name()} in {self.expression(depth - 1)}]"
        if kind == 5:
            return f"(lambda {self.name()}: {inner})"
        if kind == 6:
            return f"({inner}).attribute"
        if kind == 7:
            return f"call({inner}, key={self.expression(depth - 1)})"
        return f'f"{{{self.name()}!r}} {{{self.name()}.a:>{{{self.name()}}}}}"'

    def block(self, depth: int, indent: str) -> list[str]:
        out = []
        for _ in range(self.random.randrange(1, 4)):
            kind = self.random.randrange(7 if depth else 2)
            value = self.expression(2)
            if kind == 0:
                out.append(f"{indent}{self.name()} = {value}")
            elif kind == 1:
                out.append(f"{indent}{self.name()} += {value}")
            elif kind == 2:
                out += [
                    f"{indent}for {self.name()} in {value}:",
                    *self.block(depth - 1, indent + " "),
                ]
            elif kind == 3:
                out += [f"{indent}try:", *self.block(depth - 1, indent + " ")]
                out += [f"{indent}except Exception as {self.name()}:", f"{indent} raise"]
            elif kind == 4:
                out += [f"{indent}def {self.name()}({self.name()}, *rest):"]
                out += self.block(depth - 1, indent + " ")
            elif kind == 5:
                out += [f"{indent}if ({self.name()} := {value}):"]
                out += self.block(depth - 1, indent + " ")
            else:
                out += [f"{indent}match {value}:", f"{indent} case [{self.name()}, *_]:"]
                out += self.block(depth - 1, indent + "  ")
        return out

    def function(self) -> str:
        first, second = self.random.sample(_LOCALS, 2)
        head = f"def {self.names['own']}({self.names[first]}, {self.names[second]}=1):"
        # All are bound in the function: none of them is ever free.
        bound = " " + " = ".join(self.names[n] for n in _LOCALS) + " = 0"
        return "\n".join([head, bound, *self.block(3, " "), f" return {self.expression(2)}"])


_SAME_NAMES = {n: n for n in (*_LOCALS, "own")}


@given(st.integers(0, 2**32), st.permutations(["a", "b", "élève", "変数", "_x", "zeta"]))
@settings(max_examples=150, deadline=None)
def test_other_names_for_local_variables_never_change_the_hash(
    seed: int, others: list[str]
) -> None:
    one = _Maker(seed, _SAME_NAMES).function()
    other = _Maker(seed, dict(zip(_SAME_NAMES, others, strict=True))).function()
    (mine,), (yours,) = normalize_2(one), normalize_2(other)
    assert mine.hash == yours.hash
    assert mine.normalized_code == yours.normalized_code
    assert denormalize_2(mine.normalized_code, yours.name_mapping, {}, "") == denormalize_2(
        yours.normalized_code, yours.name_mapping, {}, ""
    )


class _Change(ast.NodeTransformer):
    """Changes the operator, constant, free name, attribute or keyword at one place."""

    def __init__(self, place: int) -> None:
        self.left = place
        self.done = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        free = isinstance(node, ast.Name) and node.id in _FREE
        if free or isinstance(node, (ast.BinOp, ast.Constant, ast.Attribute, ast.keyword)):
            self.left -= 1
            if self.left == -1:
                self.done = True
                self.change(node)
                return node
        return super().generic_visit(node)

    def change(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            node.id = "another_free_name"
        elif isinstance(node, ast.BinOp):
            node.op = ast.Pow()
        elif isinstance(node, ast.Constant):
            node.value = 1000 if not isinstance(node.value, str) else node.value + "!"
        elif isinstance(node, ast.Attribute):
            node.attr += "_"
        elif isinstance(node, ast.keyword):
            node.arg = "another_key"


@given(st.integers(0, 2**32), st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_another_operator_constant_free_name_attribute_or_keyword_changes_the_hash(
    seed: int, place: int
) -> None:
    source = _Maker(seed, _SAME_NAMES).function()
    change = _Change(place)
    changed = ast.unparse(ast.fix_missing_locations(change.visit(ast.parse(source))))
    if change.done:
        assert normalize_2(source)[0].hash != normalize_2(changed)[0].hash


@given(st.lists(st.sampled_from(["'a'", "''", "'b'", "1", "b''", "f''"]), min_size=1, max_size=4))
def test_every_docstring_leads_back_to_the_same_hash(body: list[str]) -> None:
    source = "def f():\n" + "\n".join(f"    {b}" for b in body)
    (found,) = normalize_2(source)
    shown = denormalize_2(found.normalized_code, found.name_mapping, {}, found.docstring)
    assert ast.dump(ast.parse(shown)) == ast.dump(ast.parse(source))
    if body[0] == "''" and body[1:] and body[1] not in ("'a'", "''", "'b'"):
        with pytest.raises(Invalid, match="empty docstring"):
            denormalize_2(found.normalized_code, {}, {}, "un autre")
        return
    for docstring in ("", "un autre", 'quote " and \\ and """', "\n  lines\n"):
        (again,) = normalize_2(denormalize_2(found.normalized_code, {}, {}, docstring))
        assert again.hash == found.hash
        if found.docstring:
            assert again.docstring == docstring
