"""From bytes or text to a syntax tree, with typed errors only and in bounded time."""

from __future__ import annotations

import ast
import codecs
import io
import tokenize
import warnings
from typing import NoReturn

from holdfast.errors import Invalid

# A tree takes some 500 bytes per character of source at worst.
MAX_SOURCE = 2 * 1024 * 1024
# Every Python that we support parses, compiles and prints trees of this depth; our own walks take
# at most three frames for a level, far below the interpreter's limit of 1,000.
MAX_DEPTH = 200

DOING = "normalising"


def refuse(
    filename: str, found: str, *, line: int | None = None, expected: str = "", hint: str = ""
) -> NoReturn:
    """Raise `Invalid` with the line in the message and in the details."""
    where = f"line {line}: {found}" if line else found
    raise Invalid(DOING, filename, found=where, expected=expected, hint=hint, line=line)


def read_source(source: str | bytes, filename: str) -> str:
    """The text of `source`: its declared encoding (PEP 263; UTF-8 by default) decoded, a byte
    order mark removed, line ends made ``\\n``.

    Raises:
        Invalid: larger than 2 MiB, NUL, lone surrogates, or bytes that are not in the declared
            encoding.
    """
    if len(source) > MAX_SOURCE:
        refuse(
            filename,
            f"a source of {len(source)} characters",
            expected=f"at most {MAX_SOURCE}",
            hint="split it into several files",
        )
    text = source if isinstance(source, str) else _decode(source, filename)
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        refuse(filename, "a NUL character", line=text.count("\n", 0, text.index("\0")) + 1)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        refuse(filename, "a lone surrogate outside an escape", line=line)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(source: bytes, filename: str) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return codecs.decode(source, encoding)
    except (SyntaxError, UnicodeError, LookupError) as error:
        if isinstance(error, UnicodeDecodeError):
            line = source.count(b"\n", 0, error.start) + 1
            refuse(filename, f"bytes that are not {error.encoding}: {error.reason}", line=line)
        refuse(filename, f"an encoding that cannot be read: {error}")
    except Exception as error:  # codecs that are no text encodings raise what they like
        refuse(filename, f"an encoding that cannot be read: {type(error).__name__}")


def parse_module(text: str, filename: str) -> ast.Module:
    """The syntax tree of `text`.

    Raises:
        Invalid: a syntax error, or nesting that this Python's parser does not take.
    """
    try:
        with warnings.catch_warnings():
            # Escapes such as "\d" warn; under -W error they would read as syntax errors.
            warnings.simplefilter("ignore")
            tree = ast.parse(text, filename="<source>")
    except SyntaxError as error:
        hint = ""
        if "ouverture.pool" in (error.text or "") or "holdfast.pool" in (error.text or ""):
            hint = "import a pool function as `from holdfast.pool import object_<hash> as name`"
        refuse(filename, f"a syntax error, {error.msg}", line=error.lineno, hint=hint)
    except (RecursionError, MemoryError):
        refuse(filename, "nesting too deep for the parser", expected=f"at most {MAX_DEPTH} levels")
    except (ValueError, OverflowError) as error:
        refuse(filename, f"a source that cannot be parsed: {error}")
    return tree


def check_compiles(tree: ast.Module, filename: str) -> None:
    """Refuse what parses and still is no program (``*a`` alone, ``nonlocal`` of nothing).

    Compiles, never runs.

    Raises:
        Invalid: the compiler refuses it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(tree, "<source>", "exec", dont_inherit=True)
    except SyntaxError as error:
        refuse(filename, f"code that does not compile, {error.msg}", line=error.lineno)
    except (RecursionError, MemoryError):
        refuse(
            filename, "nesting too deep for the compiler", expected=f"at most {MAX_DEPTH} levels"
        )
    except (ValueError, OverflowError, TypeError, SystemError) as error:
        refuse(filename, f"code that does not compile: {error}")
