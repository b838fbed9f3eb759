//! The changelog's records.
