-- How often what lies below next_offset was written anew: what was read before that can't be committed after it.
ALTER TABLE progress ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
