//! The bytes of record batches: reading them, checking them, building them for tools. No records are decoded on the data path.
