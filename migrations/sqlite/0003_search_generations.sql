-- An index is two tables: `documents` and `words` are those of the one that is read, `documents_gN` and `words_gN` those of
-- number N beside it. Whoever writes asks here, in the same transaction, where to.
CREATE TABLE search_generations (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    -- The highest number that was given.
    newest INTEGER NOT NULL,
    -- The number of the one that is read, and of the one that is written.
    reads  INTEGER NOT NULL,
    writes INTEGER NOT NULL
) STRICT;
INSERT INTO search_generations VALUES (1, 1, 1, 1);
