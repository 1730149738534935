//! A log that was cut or emptied, and closed or killed before anybody else knew how far it is
//! durable since.

use super::*;

/// A log that has lost its end.
struct Short {
    disk: MemoryDisk,
    /// Where it begins now.
    start: Offset,
    /// Up to where it was durable before.
    durable: Offset,
}

impl Short {
    fn known(&self, point: Offset, is_clean: bool) -> Beginning<'static> {
        Beginning {
            log_start: self.start,
            ..known(point, is_clean)
        }
    }

    fn open(&self, point: Offset, is_clean: bool) -> Opened<MemoryDisk> {
        let known = self.known(point, is_clean);
        let opened = open(self.disk.clone(), &dir(), OPTIONS, known, WALL);
        opened.unwrap_or_else(|fault| panic!("{point}, from {}: {fault}", self.start))
    }

    /// Takes in some batches, fewer than there were, and closes the log.
    fn goes_on(&self, batches: &[Vec<u8>]) -> Offset {
        let Opened {
            mut log, mut store, ..
        } = self.open(self.durable, false);
        for batch in &batches[5..8] {
            append(&mut log, &mut store, batch).expect("works");
        }
        let end = store.close(&mut log, WALL).expect("works");
        assert!(end < self.durable, "it ends where points are doubted");
        end
    }

    fn has_note(&self) -> bool {
        self.disk.bytes(&dir().join("cut-checkpoint")).is_some()
    }
}

/// One that was cut behind its fifth batch, and one that was emptied and begins there.
fn shorts(batches: &[Vec<u8>]) -> [Short; 2] {
    let to = next_offset(&batches[4]);
    [Offset::ZERO, to].map(|start| {
        let disk = MemoryDisk::default();
        let durable = worked(&disk, batches);
        match start {
            Offset::ZERO => drop(cut(&disk, &dir(), to, durable).expect("works")),
            _ => empty(&disk, &dir(), durable).expect("works"),
        }
        Short {
            disk,
            start,
            durable,
        }
    })
}

#[test]
fn what_was_closed_cleanly_after_a_cut_is_believed() {
    let batches = batches(Traffic::Plain);
    for short in shorts(&batches) {
        let end = short.goes_on(&batches);
        assert!(short.has_note(), "nobody has said that {end} is noted");
        let mut opened = short.open(end, true);
        assert_eq!(opened.log.watermarks().log_end, end);
        // What is told of a clean end is not noted elsewhere yet.
        let killed = Short {
            disk: short.disk.after_kill(),
            ..short
        };
        let held = killed.open(killed.durable, false).log;
        assert_eq!(held.watermarks().log_end, end);
        opened.store.recorded(end);
        assert!(!short.has_note(), "it was said that {end} is noted");
    }
}

#[test]
fn what_was_closed_cleanly_after_a_cut_and_is_gone_is_missed() {
    let batches = batches(Traffic::Plain);
    for short in shorts(&batches) {
        let end = short.goes_on(&batches);
        let at = next_offset(&batches[5]);
        truncate(&short.disk, &dir(), at).expect("works");
        let known = short.known(end, true);
        let opened = open(short.disk.clone(), &dir(), OPTIONS, known, WALL);
        let said = opened.err().expect("it has lost its end").to_string();
        assert!(
            said.contains(&format!("up to {end} were durable")),
            "{said}"
        );
    }
}

#[test]
fn a_log_that_was_cut_is_not_accused_before_that_is_known_elsewhere() {
    let batches = batches(Traffic::Plain);
    for short in shorts(&batches) {
        assert_eq!(unclean(&short.disk, short.durable), [], "just cut");
        short.goes_on(&batches);
        assert_eq!(unclean(&short.disk, short.durable), [], "and gone on");
    }
}
