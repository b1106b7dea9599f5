-- The trace that a mail belongs to, as W3C Trace Context writes it; mails of an earlier version have none.
ALTER TABLE deliveries ADD COLUMN traceparent text;
