"""Hypothesis strategies for stores."""

from __future__ import annotations

from hypothesis import strategies as st

_NAMES = st.one_of(
    st.sampled_from(["a", "b", "ab", "a-b", "a.b", "A", "ä", "a\nb", " ", "...", "locks", "日本"]),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"),
        min_size=1,
        max_size=20,
    ),
)


def names() -> st.SearchStrategy[str]:
    """One component of a path that every store takes."""
    return _NAMES.filter(lambda name: name not in (".", "..") and not name.startswith(".hf-"))


def paths(max_depth: int = 4) -> st.SearchStrategy[str]:
    """Paths that every store takes, of at most `max_depth` components."""
    return (
        st.lists(names(), min_size=1, max_size=max_depth)
        .filter(lambda parts: parts[0] != "locks")
        .map("/".join)
    )


def hostile_paths() -> st.SearchStrategy[str]:
    """Paths that no store may take."""
    bad = st.sampled_from(
        ["", ".", "..", ".hf-0123456789abcdef", "a\\b", "a\0", "\ud800", "x" * 256]
    )
    around = st.lists(names(), max_size=2)
    return st.one_of(
        st.builds(
            lambda before, part, after: "/".join([*before, part, *after]), around, bad, around
        ),
        paths().map(lambda path: "/" + path),
        paths().map(lambda path: path + "/"),
        paths().map(lambda path: "locks/" + path),
    )


def contents(max_size: int = 2000) -> st.SearchStrategy[bytes]:
    """Contents of files: empty, short, around the sizes of sectors and pages."""
    return st.one_of(
        st.binary(max_size=max_size),
        st.sampled_from([b"", b"\0", b"x" * 511, b"x" * 512, b"x" * 513, b"y" * 4096, b"y" * 4097]),
    )
