import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Invalid
from holdfast.functions.layout import Layout, Place, Schema, parse_path
from holdfast.store.paths import check_path

HASH = "ab" + "c" * 62
OTHER = "ef" + "0" * 62
LANGUAGES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)


@pytest.mark.parametrize("prefix", ["", "functions", "a/b"])
def test_paths_are_those_of_the_spec(prefix):
    layout = Layout(prefix)
    base = f"{prefix}/" if prefix else ""
    folder = f"{base}objects/ab/{'c' * 62}"
    assert layout.object(HASH) == f"{folder}/object.json"
    assert layout.object(HASH, Schema.V0) == f"{folder}.json"
    assert layout.mapping(HASH, "a/b", OTHER) == f"{folder}/a%2Fb/ef/{'0' * 62}/mapping.json"
    original = f"{base}objects/sha256/ab/{'c' * 62}"
    assert layout.object(HASH, Schema.ORIGINAL) == f"{original}/object.json"
    assert (
        layout.mapping(HASH, "a/b", OTHER, Schema.ORIGINAL)
        == f"{original}/a/b/sha256/ef/{'0' * 62}/mapping.json"
    )


@given(LANGUAGES)
def test_no_language_leaves_the_folder_of_its_function(language):
    layout = Layout("functions")
    path = check_path(layout.mapping(HASH, language, OTHER))
    assert path.startswith(layout.folder(HASH) + "/")
    place = parse_path(layout.relative(path))
    assert place is not None
    assert (place.schema, place.hash, place.mapping) == (Schema.V1, HASH, OTHER)


@pytest.mark.parametrize(
    "hash",
    [
        "",
        "ab",
        "../" * 22,
        "A" * 64,
        "g" * 64,
        "a" * 63 + "\n",
        "a" * 65,
        "٣" * 64,
        "a" * 62 + "/x",
    ],
)
def test_what_is_no_hash_is_refused(hash):
    layout = Layout("functions")
    with pytest.raises(Invalid):
        layout.object(hash)
    with pytest.raises(Invalid):
        layout.mapping(HASH, "eng", hash)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (f"objects/ab/{'c' * 62}/object.json", Place(Schema.V1, HASH)),
        (f"objects/ab/{'c' * 62}.json", Place(Schema.V0, HASH)),
        (f"objects/sha256/ab/{'c' * 62}/object.json", Place(Schema.ORIGINAL, HASH)),
        (
            f"objects/ab/{'c' * 62}/sha256/ef/{'0' * 62}/mapping.json",
            Place(Schema.V1, HASH, "sha256", OTHER),
        ),
        (
            f"objects/sha256/ab/{'c' * 62}/sha256/sha256/ef/{'0' * 62}/mapping.json",
            Place(Schema.ORIGINAL, HASH, "sha256", OTHER),
        ),
        (f"objects/ab/{'c' * 62}/~x/language.json", Place(Schema.V1, HASH, "~x")),
        ("objects/README.txt", None),
        ("objects/zz/not-a-hash.json", None),
        (f"objects/ab/{'c' * 62}/eng/mapping.json", None),
        (f"objects/ab/{'c' * 62}/a/b/ef/{'0' * 62}/mapping.json", None),
        (f"objects/ab/{'c' * 62}.json\n", None),
    ],
)
def test_a_path_tells_what_it_holds(path, place):
    assert parse_path(path) == place
