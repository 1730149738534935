//! Every bit of every file of a log flipped, one at a time: the audit finds it, and no start takes
//! a log for whole that is not, but for one class that has its name here.

use super::*;
use crate::record::Batch;

/// A batch's base offset, length, leader epoch and magic byte: its checksum follows them.
const UNCOVERED_BYTES: usize = 17;

/// What a log's batches are like.
struct Shape {
    traffic: Traffic,
    records: u32,
    /// Batches that have the same timestamp.
    same_time: usize,
}

const SHAPES: [Shape; 6] = [
    shape(Traffic::Plain, 3, 1),
    shape(Traffic::Plain, 1, usize::MAX),
    shape(Traffic::Idempotent, 3, 6),
    shape(Traffic::Transactions, 3, 1),
    shape(Traffic::Compacted, 3, 6),
    shape(Traffic::Compacted, 1, usize::MAX),
];

const fn shape(traffic: Traffic, records: u32, same_time: usize) -> Shape {
    Shape {
        traffic,
        records,
        same_time,
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {} records", self.traffic, self.records)
    }
}

/// A log that was closed, and its end.
fn closed(shape: &Shape) -> (MemoryDisk, Offset) {
    let all = topics(7, 1);
    let topic = all.iter().find(|topic| topic.traffic == shape.traffic);
    let sizes = Sizes {
        records: shape.records,
        value_bytes: 40,
    };
    let mut load = PartitionLoad::new(topic.expect("one of each"), 0, sizes);
    let batch = |nth: usize| {
        if nth % 7 == 6 {
            load.elect();
        }
        load.next_batch(1_000 + (nth / shape.same_time) as i64)
    };
    let batches: Vec<Vec<u8>> = (0..BATCHES).map(batch).collect();
    let disk = MemoryDisk::default();
    let durable = worked(&disk, &batches);
    (disk, durable)
}

/// One flipped bit of one file.
struct Flip {
    path: PathBuf,
    at: usize,
    bit: usize,
}

impl std::fmt::Display for Flip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} byte {} bit {}",
            self.path.display(),
            self.at,
            self.bit
        )
    }
}

/// Shows the log with each byte flipped: each bit of it where no checksum covers it, else one.
fn each_flip(disk: &MemoryDisk, mut show: impl FnMut(&MemoryDisk, &Flip)) {
    for path in disk.paths() {
        let bytes = disk.bytes(&path).expect("listed");
        let places = places(&path, &bytes);
        let is_covered = |at: usize| {
            let begins = places.partition_point(|(begin, ..)| *begin <= at);
            let place = begins.checked_sub(1).and_then(|nth| places.get(nth));
            place.is_some_and(|(begin, ..)| at - begin >= UNCOVERED_BYTES)
        };
        let bits = |at: usize| (0..8).filter(move |bit| !is_covered(at) || at % 8 == *bit);
        for (at, bit) in (0..bytes.len()).flat_map(|at| bits(at).map(move |bit| (at, bit))) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let damaged = disk.after_kill();
            damaged.put(&path, &flipped);
            let path = path.clone();
            show(&damaged, &Flip { path, at, bit });
        }
    }
}

/// A batch's place in its file, its base offset and the one behind it.
type Batched = (usize, Offset, Offset);

/// The batches of a segment; of other files none.
fn places(path: &Path, bytes: &[u8]) -> Vec<Batched> {
    let mut at = 0;
    let bytes = if path.extension().is_some_and(|end| end == "log") {
        bytes
    } else {
        &[]
    };
    let run = check(bytes, Expect::first()).run;
    let place = |batch: Batch<'_>| {
        let place = (at, batch.base_offset(), batch.next_offset());
        at += batch.bytes().len();
        place
    };
    run.batches().map(place).collect()
}

fn claims(durable: Offset) -> Claims {
    Claims {
        topic_id: TopicId::new([7; 16]),
        log_start: Some(Offset::ZERO),
        durable,
        is_clean: true,
    }
}

fn is_found(disk: &MemoryDisk, durable: Offset) -> bool {
    let verified = verify(disk, &dir(), claims(durable)).expect("readable");
    !verified.findings.is_empty()
}

/// Whether the flip only moves a batch's base offset about in the offsets that no batch has:
/// nothing in the batch or beside it states it a second time, but for the digest, of which a start
/// that reads the batch makes a new one. Comparing with the source shows it.
fn moves_within_a_gap(disk: &MemoryDisk, flip: &Flip) -> bool {
    let bytes = disk.bytes(&flip.path).expect("listed");
    let mut moved = bytes.clone();
    moved[flip.at] ^= 1 << flip.bit;
    let (before, after) = (places(&flip.path, &bytes), places(&flip.path, &moved));
    let changed = before
        .iter()
        .zip(&after)
        .filter(|(one, other)| one != other);
    let changed: Vec<usize> = changed.map(|((at, ..), _)| *at).collect();
    let is_base = |at: &usize| (*at..*at + 8).contains(&flip.at);
    before.len() == after.len() && changed.len() == 1 && changed.iter().all(is_base)
}

#[test]
fn every_flipped_bit_is_found() {
    for shape in &SHAPES {
        let (disk, durable) = closed(shape);
        assert!(!is_found(&disk, durable), "{shape}: it is sound");
        let mut within_gaps = 0;
        each_flip(&disk, |damaged, flip| {
            assert!(is_found(damaged, durable), "{shape}: missed {flip}");
            within_gaps += u32::from(moves_within_a_gap(&disk, flip));
        });
        assert!(within_gaps > 0, "{shape}: the digest alone tells of some");
    }
}

/// What a start does not read stays as it was, and the audit finds it; what it reads it mends, or
/// refuses and leaves it as it is.
#[test]
fn no_start_hides_a_flipped_bit() {
    for shape in &SHAPES {
        let (disk, durable) = closed(shape);
        let whole = content(&disk);
        each_flip(&disk, |damaged, flip| {
            let is_clean = (flip.at + flip.bit) % 2 == 0;
            let what = format!("{shape}: {flip}, clean: {is_clean}");
            let left = damaged.after_kill();
            let known = known(durable, is_clean);
            let opened = open(left.clone(), &dir(), OPTIONS, known, WALL);
            let Ok(Opened {
                mut log, mut store, ..
            }) = opened
            else {
                let is_untouched = content(&left) == content(damaged);
                assert!(is_untouched, "{what}: refused and cut");
                return;
            };
            let end = store.close(&mut log, WALL).expect("the disk works");
            assert_eq!(end, durable, "{what}");
            let is_hidden = !is_found(&left, durable) && content(&left) != whole;
            assert!(!is_hidden || moves_within_a_gap(&disk, flip), "{what}");
        });
    }
}

/// What is refused is cut where it is damaged or before, and the rest fetched again, where the
/// source has it as it was.
#[test]
fn what_a_start_refuses_is_whole_once_it_is_fetched_again() {
    for shape in &SHAPES {
        let (disk, durable) = closed(shape);
        let whole = content(&disk);
        let batches: Vec<&[u8]> = check(&whole, Expect::first())
            .run
            .batches()
            .map(|batch| batch.bytes())
            .collect();
        let batches: Vec<Vec<u8>> = batches.into_iter().map(<[u8]>::to_vec).collect();
        let mut fetched = 0;
        each_flip(&disk, |damaged, flip| {
            let what = format!("{shape}: {flip}");
            let start = |left: &MemoryDisk, refetchable| {
                let known = Beginning {
                    refetchable,
                    ..known(durable, true)
                };
                open(left.clone(), &dir(), OPTIONS, known, WALL)
            };
            match start(&damaged.after_kill(), None) {
                // Files that name another topic are not touched.
                Ok(_) | Err(LogFault::Elsewhere { .. }) => return,
                Err(_) => {}
            }
            let left = damaged.after_kill();
            let opened = start(&left, Some(Offset::ZERO));
            let opened = opened.unwrap_or_else(|fault| panic!("{what}: {fault}"));
            let end = opened.log.watermarks().log_end;
            assert!(end < durable, "{what}: nothing is fetched again");
            drop(opened);
            // What it has read by then it has taken for sound; the audit reads the rest.
            if whole.starts_with(&content(&left)) {
                recovers(&left, &batches, end, &what);
                fetched += 1;
            } else {
                assert!(
                    !unclean(&left, end).is_empty() || moves_within_a_gap(&disk, flip),
                    "{what}"
                );
            }
        });
        assert!(fetched > 100, "{shape}: only {fetched} were");
    }
}
