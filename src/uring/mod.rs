//! The real side of `io` on tokio-uring: the only folder with unsafe code.
