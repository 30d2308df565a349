//! The parsers alone.
