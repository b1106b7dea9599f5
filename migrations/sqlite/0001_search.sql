-- One document an order, and its words.

CREATE TABLE documents (
    id       INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE,
    version  INTEGER NOT NULL,
    state    TEXT NOT NULL,
    -- The whole document as JSON.
    document TEXT NOT NULL
) STRICT;
CREATE INDEX documents_state ON documents (state);

-- Rows belong together by rowid.
CREATE VIRTUAL TABLE words USING fts5 (text, content = '', contentless_delete = 1);
