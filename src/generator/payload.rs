//! Keys, values and headers: words that repeat, so that codecs have something to do.

use crate::record::{BatchBuilder, RecordHeader};
use crate::stdx::prng::Prng;

const WORD_BYTES: usize = 8;
/// Six bits choose a word.
const WORDS: usize = 64;
/// Keys come back, as they do where compaction makes sense.
const KEYS: u64 = 1000;

/// Makes records from a vocabulary.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    words: Vec<[u8; WORD_BYTES]>,
    value: Vec<u8>,
    value_bytes: usize,
}

impl Payload {
    pub(super) fn new(prng: &mut Prng, value_bytes: usize) -> Payload {
        let letter = |byte: u8| b'a' + byte % 26;
        let word = |_| prng.next_u64().to_be_bytes().map(letter);
        Payload {
            words: (0..WORDS).map(word).collect(),
            value: Vec::with_capacity(value_bytes + WORD_BYTES),
            value_bytes,
        }
    }

    /// Adds one record. Of 32, one has no value, one no key, and one a header; times are up to
    /// 100 ms earlier than `timestamp`, as where many clients write.
    pub(super) fn push(&mut self, prng: &mut Prng, batch: &mut BatchBuilder, timestamp: i64) {
        let chance = prng.below(32);
        let earlier = i64::try_from(prng.below(100)).expect("below 100");
        let key = prng.below(KEYS).to_string();
        let header = RecordHeader {
            key: b"trace",
            value: Some(key.as_bytes()),
        };
        let headers = [header];
        let headers = if chance == 2 { &headers[..] } else { &[] };
        let key = (chance != 1).then_some(key.as_bytes());
        self.fill(prng);
        let value = (chance != 0).then_some(&self.value[..]);
        batch.push_at(timestamp - earlier, key, value, headers);
    }

    fn fill(&mut self, prng: &mut Prng) {
        self.value.clear();
        while self.value.len() < self.value_bytes {
            let mut choice = prng.next_u64();
            for _ in 0..10 {
                let word = choice % WORDS as u64;
                let word = usize::try_from(word).expect("below the count of words");
                self.value.extend_from_slice(&self.words[word]);
                choice >>= 6;
            }
        }
        self.value.truncate(self.value_bytes);
    }
}
