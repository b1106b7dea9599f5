//! Feeds the search index from state changes.
