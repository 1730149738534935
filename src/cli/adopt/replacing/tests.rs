//! An adoption that is cut off before, within or after any of its steps, and begun again.

use std::collections::BTreeMap;

use super::*;

const ID: TopicId = TopicId::new([3; 16]);
const STRANGE: (&str, &[u8]) = ("notes.txt", b"not ours");

type Files = BTreeMap<String, Vec<u8>>;

struct Place {
    dir: tempfile::TempDir,
}

fn files(named: &[(&str, &[u8])]) -> Files {
    let files = named.iter();
    files
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
        .collect()
}

/// Three segments.
fn vault() -> Files {
    files(&[
        ("00000000000000000005.log", b"five and six"),
        ("00000000000000000005.index", b"5"),
        ("00000000000000000007.log", b"seven"),
        ("00000000000000000007.index", b"7"),
        ("00000000000000000007.snapshot", b"producers"),
        ("00000000000000000008.log", b""),
        ("leader-epoch-checkpoint", b"0\n1\n4 5\n"),
        ("cut-checkpoint", b"0\n1\n8 9\n"),
        (METADATA, b"of the source"),
    ])
}

/// What a broker makes of a new partition, and something that is none of its files.
fn empty() -> Files {
    files(&[
        ("00000000000000000000.log", b""),
        ("00000000000000000000.index", b""),
        ("leader-epoch-checkpoint", b"0\n0\n"),
        (METADATA, b"of the heir"),
        STRANGE,
    ])
}

fn adopted() -> Files {
    let mut adopted = vault();
    adopted
        .remove("cut-checkpoint")
        .expect("no broker knows it");
    let metadata = format!("version: 0\ntopic_id: {ID}");
    adopted.insert(METADATA.to_owned(), metadata.into_bytes());
    adopted.extend(files(&[STRANGE]));
    adopted
}

impl Place {
    fn new(there: &Files) -> Place {
        let place = Place {
            dir: tempfile::tempdir().expect("there is a temporary directory"),
        };
        for (dir, files) in [(place.from(), &vault()), (place.to(), there)] {
            fs::create_dir(&dir).expect("the place is new");
            for (name, bytes) in files {
                fs::write(dir.join(name), bytes).expect("there is room");
            }
        }
        place
    }

    fn from(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    fn to(&self) -> PathBuf {
        self.dir.path().join("heir")
    }

    fn steps(&self) -> Vec<Step> {
        let planned = Replacement::plan(&self.from(), &self.to(), ID);
        planned.expect("both are readable").0
    }

    fn files(&self) -> Files {
        let entries = RealDisk.list(&self.to()).expect("it is there");
        let read = |entry: Entry| {
            let bytes = fs::read(self.to().join(&entry.name)).expect("it is readable");
            (entry.name, bytes)
        };
        entries.into_iter().map(read).collect()
    }

    /// A broker that is started now sees no log, or the beginning of the vault's.
    fn shows_a_beginning(&self) {
        let held = vault();
        let is_log = |name: &str| name.ends_with(".log");
        let files = self.files();
        let shown = files.iter().filter(|(name, _)| is_log(name));
        let shown: Vec<_> = shown.filter(|(_, bytes)| !bytes.is_empty()).collect();
        let logs = held.iter().filter(|(name, _)| is_log(name));
        assert_eq!(shown, logs.take(shown.len()).collect::<Vec<_>>());
    }
}

fn done(steps: &[Step]) {
    for step in steps {
        step.carry_out().expect("the disk works");
    }
}

/// The first half of what a copy copies.
fn torn(step: &Step) {
    if let Step::Copy { from, to } = step {
        let bytes = fs::read(from).expect("it is there");
        fs::write(to, &bytes[..bytes.len() / 2]).expect("there is room");
    }
}

#[test]
fn cut_off_anywhere_it_goes_on() {
    let all = Place::new(&empty()).steps().len();
    assert!(all > 2 * vault().len());
    for cut in 0..=all {
        let place = Place::new(&empty());
        let steps = place.steps();
        done(&steps[..cut]);
        steps.get(cut).iter().for_each(|step| torn(step));
        place.shows_a_beginning();
        let found = stranger(&place.from(), &place.to()).expect("readable");
        assert_eq!(found, None, "cut off after {cut}");
        done(&place.steps());
        assert_eq!(place.files(), adopted(), "cut off after {cut}");
    }
}

#[test]
fn segments_that_are_there_are_not_copied_again() {
    let place = Place::new(&empty());
    done(&place.steps());
    let again = Replacement::plan(&place.from(), &place.to(), ID);
    let bytes = again
        .expect("readable")
        .carry_out()
        .expect("the disk works");
    let small = vault()
        .into_iter()
        .filter(|(name, _)| !name.ends_with(".log"));
    let small: usize = small
        .filter(|(name, _)| name != METADATA && name != "cut-checkpoint")
        .map(|(_, bytes)| bytes.len())
        .sum();
    assert_eq!(bytes, small as u64);
    assert_eq!(place.files(), adopted());
}

#[test]
fn records_of_somebody_else_are_found() {
    let first = "00000000000000000005.log";
    let others: [(&str, &[u8]); 5] = [
        (first, b"five and sic"),
        (first, b"five"),
        (first, b"five and six and seven"),
        ("00000000000000000000.log", b"zero"),
        ("00000000000000000008.log", b"eight"),
    ];
    for (name, bytes) in others {
        let mut there = empty();
        there.insert(name.to_owned(), bytes.to_vec());
        let place = Place::new(&there);
        let found = stranger(&place.from(), &place.to()).expect("readable");
        assert_eq!(found, Some(place.to().join(name)));
    }
}

#[test]
fn a_copy_that_fails_says_how_it_goes_on() {
    let place = Place::new(&empty());
    let steps = place.steps();
    fs::remove_file(place.from().join("00000000000000000007.log")).expect("it is there");
    let outcome = Replacement(steps).carry_out();
    let said = outcome.expect_err("a file is gone").to_string();
    assert!(said.contains("00000000000000000007.log"), "{said}");
    assert!(said.contains("run the same adopt again"), "{said}");
}
