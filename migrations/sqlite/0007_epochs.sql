-- As in migrations/postgres.
ALTER TABLE progress ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
