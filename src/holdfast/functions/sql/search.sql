-- The best mappings whose texts hold all words of ?1; ?2 is a language or NULL.
SELECT r.hash, r.language, r.mapping, r.name, r.summary, r.comment
FROM texts AS t
JOIN rows AS r ON r.id = t.rowid
WHERE t.texts MATCH ?1 AND (?2 IS NULL OR r.language = ?2)
ORDER BY bm25(t.texts, 10.0, 4.0, 3.0, 3.0, 1.0), r.hash, r.language, r.mapping
LIMIT ?3;
