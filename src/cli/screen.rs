//! Standard error: log lines, progress, and how they keep out of each other's way.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use indicatif::MultiProgress;
use tracing::Level;

static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// The progress bars of the process; hidden where standard error is no terminal.
pub(super) fn bars() -> &'static MultiProgress {
    BARS.get_or_init(MultiProgress::new)
}

/// Whether progress bars can be seen.
pub(super) fn has_bars() -> bool {
    io::stderr().is_terminal()
}

/// Whether colours are wanted (`NO_COLOR`).
fn has_colours() -> bool {
    has_bars() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Log lines go to standard error from here on.
pub(super) fn begin(quiet: bool, verbose: u8) {
    let level = match (quiet, verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::WARN,
        (false, 1) => Level::INFO,
        (false, _) => Level::DEBUG,
    };
    let begun = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(has_colours())
        .with_writer(|| Lines)
        .try_init();
    // Somebody else's subscriber does as well.
    drop(begun);
}

/// A line for the user, above the progress bars.
pub(super) fn say(line: &str) {
    bars().suspend(|| {
        // Where nobody reads standard error, there is nobody to tell.
        drop(writeln!(io::stderr(), "{line}"));
    });
}

/// The result, on standard output. Says whether anybody could take it.
pub(super) fn tell(result: &str) -> bool {
    let told = bars().suspend(|| {
        let mut out = io::stdout();
        writeln!(out, "{result}").and_then(|()| out.flush())
    });
    match told {
        Ok(()) => true,
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => false,
        Err(error) => {
            say(&format!(
                "error: the result cannot be written to standard output: {error}"
            ));
            false
        }
    }
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bars().suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
