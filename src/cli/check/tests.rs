//! How the lines read, for people and for machines.

use super::*;

#[test]
fn the_worst_line_decides_and_each_says_what_to_do() {
    let mut lines = Lines::default();
    assert_eq!(lines.worst(), Status::Ok);
    lines.ok("kernel", "new");
    lines.warn("memlock", "little", "raise it");
    assert_eq!(lines.worst(), Status::Warn);
    lines.fail("sync", "refused", "allow it");
    assert_eq!(lines.worst(), Status::Fail);
    let text = "ok    kernel   new\n\
                warn  memlock  little\n               -> raise it\n\
                fail  sync     refused\n               -> allow it";
    assert_eq!(to_text(&lines), text);
    let json = to_json(&lines);
    assert_eq!(json["status"], "fail");
    assert_eq!(json["lines"][1]["next"], "raise it");
    assert!(json["lines"][0]["next"].is_null());
}
