//! The mob: its definition, and what follows from it.

pub mod definition;
