//! Requests to replies: what a client of ours asks for and how it is answered.
