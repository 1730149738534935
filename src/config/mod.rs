//! Text to checked options: every key declared once, all errors of a file at once.
