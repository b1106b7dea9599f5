-- One row a recorded change of an order: appended once, never changed.
CREATE TABLE transitions (
    order_id TEXT NOT NULL,
    version  INTEGER NOT NULL,
    -- The whole document as JSON.
    document TEXT NOT NULL,
    PRIMARY KEY (order_id, version)
) STRICT, WITHOUT ROWID;
