"""Random histories against a model in plain dicts; the index lost, stale or torn at random."""

from __future__ import annotations

import os
import shutil
import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.runs import FileEntry, Runs, Source, WalkedRoots
from holdfast.store.filesystem import FileSystemStore
from runs_support import Ticks, problems, sha256

PATHS = st.sampled_from([b"a", b"b", b"d/c", b"\xff"])
BYTES = st.sampled_from([b"1", b"2", b"", b"big" * 30000])
SOURCES = [None, Source("folder", "/one"), Source("folder", "/two")]


class Histories(RuleBasedStateMachine):
    """Two openings of one repository, as two processes would have; up to two open runs."""

    @initialize()
    def begin(self):
        self.root = tempfile.mkdtemp()
        self.clock = Ticks()
        self.openings = [self.reopened(), self.reopened()]
        self.open = {}
        self.versions = {}
        self.current = {}
        self.orders = 0
        self.saved = None

    def reopened(self):
        return Runs(FileSystemStore(self.root), clock=self.clock)

    def teardown(self):
        for writer, *_ in getattr(self, "open", {}).values():
            writer.fail("end of test")
        if hasattr(self, "root"):
            assert problems(self.reopened()) == []
            shutil.rmtree(self.root)

    @precondition(lambda self: len(self.open) < 2)
    @rule(source=st.sampled_from(SOURCES))
    def begin_a_run(self, source):
        which = 0 if 0 not in self.open else 1
        writer = self.openings[which].begin("p", "a", source=source)
        self.orders += 1
        self.open[which] = (writer, source, self.orders, set(), [])

    @precondition(lambda self: self.open)
    @rule(data=st.data(), path=PATHS, content=BYTES, processed=st.booleans())
    def register(self, data, path, content, processed):
        writer, _, _, _, queue = self.open[data.draw(st.sampled_from(sorted(self.open)))]
        digest = sha256(content)
        stored = None
        if writer.predict(path, len(content)).sha256 != digest:
            stored = writer.stage(path, content, digest)
        writer.register(
            FileEntry(
                path=path, size=len(content), sha256=digest, stored=stored, processed=processed
            )
        )
        queue.append((path, content, processed))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def flush(self, data):
        self.flush_run(data.draw(st.sampled_from(sorted(self.open))))

    def flush_run(self, which):
        writer, source, _, seen, queue = self.open[which]
        answers = writer.flush()
        self.orders += 1
        assert len(answers) == len(queue)
        for answer, (path, content, processed) in zip(answers, queue, strict=True):
            assert answer.status == self.expected(path, content, processed)
            self.current[path][3:] = [source, self.orders]
            seen.add(path)
        queue.clear()

    def expected(self, path, content, processed):
        """What the table says; the model moves on."""
        now = self.current.get(path)
        if now is not None and now[0] == content:
            was, now[1] = now[1], now[1] or processed
            self.versions[path][-1] = tuple(now[:2])
            return "duplicate" if was else "processed_again"
        known = path in self.versions
        self.versions.setdefault(path, []).append((content, processed))
        self.current[path] = [content, processed, None, None, None]
        return "new_version" if known else "new_file"

    @precondition(lambda self: self.open)
    @rule(data=st.data(), walked=st.booleans(), fails=st.booleans())
    def end_a_run(self, data, walked, fails):
        which = data.draw(st.sampled_from(sorted(self.open)))
        if not fails:
            self.flush_run(which)
        writer, source, began, seen, _ = self.open.pop(which)
        if fails:
            assert writer.fail("no").status == "failed"
            return
        info = writer.complete(walked=WalkedRoots() if walked else None)
        gone = []
        if walked and source is not None:
            gone = [
                p
                for p, now in self.current.items()
                if p not in seen and now[3] == source and now[4] < began
            ]
        self.orders += 1
        for path in gone:
            del self.current[path]
        assert info.counts.get("removed", 0) == len(gone)

    @rule(which=st.integers(0, 1))
    def reopen(self, which):
        if which not in self.open:
            self.openings[which] = self.reopened()

    @rule(harm=st.sampled_from(["use", "save", "stale", "torn", "lost"]))
    def harm_the_index(self, harm):
        path = f"{self.root}/runs/metadata.duckdb"
        if harm == "use":
            self.check_index()
        elif not os.path.exists(path):
            return
        elif harm == "save":
            self.saved = shutil.copy(path, f"{self.root}/saved")
        elif harm == "stale" and self.saved:
            shutil.copy(self.saved, path)
        elif harm == "torn":
            os.truncate(path, os.path.getsize(path) * 2 // 3)
        elif harm == "lost":
            os.unlink(path)

    def check_index(self):
        rows = self.openings[0].index.query(
            "SELECT file_hash, filename, processed_at IS NOT NULL FROM files "
            "WHERE NOT is_superseded ORDER BY ALL"
        )
        assert rows == sorted(
            (sha256(c), path.decode("utf-8", "replace"), bool(p))
            for path, (c, p, *_) in self.current.items()
        )

    @invariant()
    def answers_agree_with_the_model(self):
        if not hasattr(self, "root"):
            return
        for runs in self.openings:
            if not runs.projects():
                continue
            found = {v.path: v for v in runs.current_files("p")}
            assert found.keys() == self.current.keys()
            for path, versions in self.versions.items():
                history = runs.get_file_history("p", path)
                assert [v.sha256 for v in history] == [sha256(c) for c, _ in versions[::-1]]
                assert [v.processed is not None for v in history] == [
                    bool(p) for _, p in versions[::-1]
                ]
                assert runs.open_file(history[0]).read() == versions[-1][0]


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
