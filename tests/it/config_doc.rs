//! `config.toml` at the root is what the code says it is.
#![expect(
    clippy::disallowed_methods,
    reason = "the test is about a file of the repository"
)]

use std::fs;
use std::path::Path;

use twinlog::config::{Config, document};

#[test]
fn the_config_file_is_what_the_code_documents() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    if std::env::var_os("TWINLOG_RENEW").is_some() {
        fs::write(&path, document()).expect("the repository is writable");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let document = document();
    let same = written
        .lines()
        .zip(document.lines())
        .take_while(|(is, should)| is == should)
        .count();
    assert!(
        written == document,
        "from line {} on, config.toml is not what the code documents; renew it with\n  \
         TWINLOG_RENEW=1 cargo test --test it config_doc\n",
        same + 1
    );
    assert_eq!(Config::parse(&written), Ok(Config::default()));
}
