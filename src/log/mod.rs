//! One partition's log, byte for byte as Apache Kafka keeps it: decides what an append, a read or a truncation means.
