//! Replicated key-value store of CRDTs: start, update, read, delete, subscribe.
