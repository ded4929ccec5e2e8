"""Normal form 2: from the source of a file to its functions, each with its identity."""

from __future__ import annotations

import ast
from typing import Any

from holdfast.digests import sha256_hex
from holdfast.errors import Invalid
from holdfast.functions.normal_form_2.analyse import Analysis, analyse
from holdfast.functions.normal_form_2.encode import DOMAIN, encode_ast
from holdfast.functions.normal_form_2.imports import (
    OBJECT,
    Import,
    effective,
    pool_import,
)
from holdfast.functions.normal_form_2.printer import print_ast
from holdfast.functions.normal_form_2.rename import PREFIX, number_names, write_names
from holdfast.functions.normal_form_2.scope import Variable
from holdfast.functions.normal_form_2.source import (
    MAX_SOURCE,
    check_compiles,
    parse_module,
    read_source,
    refuse,
)
from holdfast.functions.normal_form_2.toplevel import read_top_level
from holdfast.functions.normalized import NormalizedFunction

# Imports kept by all functions of a file together; every function prints its own.
_MAX_CARRIED = 100_000

_Placed = list[tuple[Import, Variable | None]]


def normalize_2(source: str | bytes, filename: str = "<source>") -> list[NormalizedFunction]:
    """The functions of `source` in normal form 2 (spec/functions.md §3), in source order.

    Nothing of the source runs.

    Raises:
        Invalid: no source, no function, or one that needs what cannot be kept; with the reason,
            and the line in ``details["line"]``.
    """
    text = read_source(source, filename)
    try:
        return _normalize(text, filename)
    except RecursionError:
        raise Invalid(
            "normalising", filename, found="nesting too deep for the stack that is left"
        ) from None


def _normalize(text: str, filename: str) -> list[NormalizedFunction]:
    tree = parse_module(text, filename)
    top = read_top_level(tree, filename)
    if not top.functions:
        refuse(filename, "no function", expected="one `def` at the top level or more")
    imports = effective(top.imports, filename)
    analyses = {name: analyse(node, top, imports, filename) for name, node in top.functions.items()}
    if sum(len(a.imports) for a in analyses.values()) > _MAX_CARRIED:
        refuse(
            filename,
            f"{len(imports)} imports that {len(analyses)} functions would carry each",
            hint="split the file",
        )
    check_compiles(tree, filename)
    _refuse_shared_globals(analyses, filename)
    done: dict[str, NormalizedFunction] = {}
    for name in _dependency_order(analyses, filename):
        done[name] = _finish(analyses[name], done, filename)
    return [done[name] for name in top.functions]


def _refuse_shared_globals(analyses: dict[str, Analysis], filename: str) -> None:
    for name, analysis in analyses.items():
        for bound in analysis.globals_bound:
            for other, reader in analyses.items():
                if other != name and (bound in reader.names.outside or bound == other):
                    refuse(
                        filename,
                        f"{name} binds the global {bound}, and {other} uses it",
                        line=analysis.node.lineno,
                        hint="functions of the pool share no globals: pass it as a parameter",
                    )


def _dependency_order(analyses: dict[str, Analysis], filename: str) -> list[str]:
    """Names so that each stands behind what it uses.

    Raises:
        Invalid: functions that use each other: neither has a hash before the other.
    """
    order: list[str] = []
    state: dict[str, int] = {}
    for start in analyses:
        stack = [(start, iter(analyses[start].neighbours))] if start not in state else []
        state.setdefault(start, 1)
        while stack:
            name, following = stack[-1]
            found = next(following, None)
            if found is None:
                stack.pop()
                state[name] = 2
                order.append(name)
            elif found not in state:
                state[found] = 1
                stack.append((found, iter(analyses[found].neighbours)))
            elif state[found] == 1:
                path = [n for n, _ in stack]
                cycle = [*path[path.index(found) :], found]
                refuse(
                    filename,
                    "functions that use each other: " + " → ".join(cycle),
                    line=analyses[found].node.lineno,
                    hint="put one inside the other, or pass one as a parameter",
                )
    return order


def _finish(
    analysis: Analysis, done: dict[str, NormalizedFunction], filename: str
) -> NormalizedFunction:
    node, names = analysis.node, analysis.names
    name = node.name
    imports = [
        *analysis.imports,
        *(pool_import(done[n].hash, n) for n in analysis.neighbours),
    ]
    placed, alias_mapping = _place(imports, analysis)
    mapping = number_names(names, [v for _, v in placed if v is not None and not v.kept])
    write_names(names)
    docstring = analysis.docstring
    if any("\ud800" <= c <= "\udfff" for c in docstring):
        refuse(filename, f"a lone surrogate in the docstring of {name}", line=node.lineno)
    if not any(i.name == "*" for i, _ in placed):
        placed.sort(key=lambda p: (*p[0].key(), _number(p[1]), p[0].asname or ""))
    body: list[ast.stmt] = [
        i.node(i.asname if v is None or v.number is None else f"{PREFIX}{v.number}")
        for i, v in placed
    ]
    module = ast.Module(body=[*body, node], type_ignores=[])
    code = print_ast(module)
    if len(code) > MAX_SOURCE:
        refuse(filename, f"a normal form of {len(code)} characters", expected=str(MAX_SOURCE))
    dependencies = {i.pool for i, _ in placed if i.pool} | analysis.inner_dependencies
    return NormalizedFunction(
        hash=sha256_hex(DOMAIN + encode_ast(module)),
        normalized_code=code,
        name_mapping=mapping,
        alias_mapping=alias_mapping,
        docstring=docstring,
        normal_form=2,
        name=name,
        dependencies=tuple(sorted(dependencies)),
    )


def _number(variable: Variable | None) -> int:
    return -1 if variable is None or variable.number is None else variable.number


def _place(imports: list[Import], analysis: Analysis) -> tuple[_Placed, dict[str, str]]:
    """Pair the imports with the variables that they bind, in the order of first use, unused last;
    and bring pool functions to their own names.

    Returns:
        The pairs: a variable that is to be numbered, or None where the name stays as it is; and
        the alias mapping.
    """
    outside = analysis.names.outside
    use = {name: index for index, name in enumerate(outside)}
    unused = len(use)
    imports = sorted(imports, key=lambda i: (use.get(i.bound, unused), i.key(), i.asname or ""))
    placed: _Placed = []
    aliases: dict[str, str] = {}
    seen: set[str] = set()
    for item in imports:
        variable = outside.get(item.bound)
        if item.asname is None:
            placed.append((item, None))
            seen.add(item.pool)
        elif variable is None:
            # Unused: its name matters to nobody, but it was given and is shown again.
            if item.pool and item.pool not in seen:
                seen.add(item.pool)
                aliases[item.pool] = item.asname
                placed.append((pool_import(item.pool, None), None))
            else:
                placed.append((item, _unused(item, analysis)))
        elif item.pool and item.pool not in seen and not variable.kept:
            seen.add(item.pool)
            aliases[item.pool] = item.asname
            variable.kept = True
            for mention in variable.mentions:
                mention.write(OBJECT + item.pool)
            placed.append((pool_import(item.pool, None), None))
        else:
            placed.append((item, variable))
    return placed, aliases


def _unused(item: Import, analysis: Analysis) -> Variable | None:
    names = analysis.names
    variable = Variable(item.bound, names.walk.module)
    variable.kept = names.keeps_outside(variable)
    return variable


def hash_2(normalized_code: str) -> str:
    """The hash of stored code, recomputed from its text; a docstring in it does not count.

    Raises:
        Invalid: code that is not one function in normal form 2.
    """
    functions = normalize_2(normalized_code, "<normalized code>")
    if len(functions) != 1:
        refuse("<normalized code>", f"{len(functions)} functions", expected="one")
    return functions[0].hash


def parse_normalized(code: str, filename: str) -> tuple[list[Any], Any]:
    """Split stored code into its imports and its function.

    Raises:
        Invalid: not imports followed by one function.
    """
    tree = parse_module(read_source(code, filename), filename)
    if not tree.body:
        raise Invalid("reading", filename, found="no function")
    *imports, function = tree.body
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) or not all(
        isinstance(i, (ast.Import, ast.ImportFrom)) for i in imports
    ):
        raise Invalid("reading", filename, found="no imports followed by one function")
    return imports, function
