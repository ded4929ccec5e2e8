from functions.pools import ENGLISH, FRENCH, memory_pool


def test_one_mapping_shows_the_code():
    pool = memory_pool()
    (added,) = pool.add(ENGLISH, "eng")
    shown = pool.show(f"{added.hash}@eng")
    assert (shown.kind, shown.text) == ("code", ENGLISH)
    assert shown.loaded.mapping_hash == added.mapping_hash


def test_several_mappings_show_a_menu_of_commands():
    pool = memory_pool()
    (formal,) = pool.add(ENGLISH, "eng", "Formal words")
    (casual,) = pool.add(ENGLISH.replace("total", "sum_up"), "eng")
    shown = pool.show(f"{formal.hash[:8]}@eng", "ouverture show")
    assert shown.kind == "mappings"
    lines = {
        formal.mapping_hash: f"ouverture show {formal.hash}@eng@{formal.mapping_hash}"
        "  # Formal words",
        casual.mapping_hash: f"ouverture show {formal.hash}@eng@{casual.mapping_hash}",
    }
    expected = "\n".join(lines[hash] for hash in sorted(lines))
    title = "Multiple mappings found for 'eng'. Please choose one:"
    assert shown.text == f"{title}\n\n{expected}\n"
    for choice in shown.choices:
        assert pool.show(choice.what).kind == "code"


def test_no_language_shows_the_languages():
    pool = memory_pool()
    (added,) = pool.add(ENGLISH, "eng")
    pool.add(FRENCH, "fra")
    pool.add(FRENCH, "fra", "again")
    shown = pool.show(added.hash, "holdfast fn show")
    assert shown.kind == "languages"
    assert shown.text.splitlines()[2:] == [
        f"holdfast fn show {added.hash}@eng",
        f"holdfast fn show {added.hash}@fra  # 2 mappings",
    ]


def test_a_menu_line_stays_one_harmless_command():
    pool = memory_pool()
    language = "x; rm -rf ~"
    (added,) = pool.add(ENGLISH, language, "a\nrm -rf /")
    pool.add(ENGLISH, language, "b\x1b[2J")
    lines = pool.show(f"{added.hash}@{language}").text.splitlines()
    assert len(lines) == 4
    assert all(f"'{added.hash}@x; rm -rf ~@" in line for line in lines[2:])
    assert any("\\nrm" in line for line in lines)


def test_a_language_may_hold_an_at_sign():
    pool = memory_pool()
    (added,) = pool.add(ENGLISH, "en@cockney")
    assert pool.show(f"{added.hash}@en@cockney").text == ENGLISH
    assert pool.show(f"{added.hash}@en@cockney@{added.mapping_hash}").text == ENGLISH
