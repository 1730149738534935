//! One authenticated byte stream, both ends: handshake, correlation, deadlines.
