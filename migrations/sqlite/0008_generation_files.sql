-- Which file a generation is in: this one (NULL), or `…-gN.db` beside it. Who reads or writes the live one asks here, each
-- time; so to make another one live takes no more than a row of `generations`, whatever the two hold.
ALTER TABLE generations ADD COLUMN file INTEGER;
UPDATE generations SET file = number WHERE stage <> 'live';

CREATE TABLE generation_files (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    -- The highest N that was given. None is given twice: someone may still have the file open that was removed.
    newest INTEGER NOT NULL
) STRICT;
INSERT INTO generation_files SELECT 1, max(number) FROM generations;

-- One that was just loaded had its rows counted. Such counts age once it is live, and nobody counts again.
DROP TABLE IF EXISTS sqlite_stat1;
