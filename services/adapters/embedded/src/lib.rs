//! Every port on one machine without a server: SQLite log, stores and full-text search.
