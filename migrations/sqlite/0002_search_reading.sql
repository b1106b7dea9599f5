-- What searches filter and sort by, beside the documents.
ALTER TABLE documents ADD COLUMN region TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN customer_email TEXT NOT NULL DEFAULT '' COLLATE NOCASE;
ALTER TABLE documents ADD COLUMN payment_gateway TEXT NOT NULL DEFAULT '';
-- Milliseconds since 1970 UTC: as fine as Elasticsearch keeps instants.
ALTER TABLE documents ADD COLUMN placed_ms INTEGER NOT NULL DEFAULT 0;
UPDATE documents SET
    region = json_extract(document, '$.region'),
    customer_email = json_extract(document, '$.customer.email'),
    payment_gateway = json_extract(document, '$.payment.gateway'),
    placed_ms = CAST(unixepoch(json_extract(document, '$.placed_at'), 'subsec') * 1000 AS INTEGER);
CREATE INDEX documents_newest ON documents (placed_ms, order_id);
