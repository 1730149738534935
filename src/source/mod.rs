//! The source cluster, as seen by one shard: where we are in each partition and which answers we believe.
