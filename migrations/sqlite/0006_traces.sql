-- As in migrations/postgres.
ALTER TABLE deliveries ADD COLUMN traceparent TEXT;
