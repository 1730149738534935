//! What is walked is what a decoder could read; counts that promise too much are refused.

use proptest::prelude::*;

use super::*;

const COUNT: &str = "a count of elements";
const NAMED: &[Shape] = &[Shape::Text, Shape::Bytes(2)];
const SHAPE: &[Shape] = &[Shape::List(NAMED), Shape::Texts, Shape::Bytes(1)];

/// Two named elements, one text, one byte, in the older encoding.
const OLDER: &[u8] = &[
    0, 0, 0, 2, // elements
    0, 1, b'a', 9, 9, // the first
    0xff, 0xff, 9, 9, // the second has no name
    0, 0, 0, 1, 0, 0, // one empty text
    7,
];

/// The same in the newer one.
const NEWER: &[u8] = &[
    3, // elements
    2, b'a', 9, 9, 0, // the first
    0, 9, 9, 1, 5, 2, 8, 8, // the second has no name, and a tagged field
    2, 1, // one empty text
    7, 0,
];

#[test]
fn both_encodings_are_walked_to_their_ends() {
    assert_eq!(walk(SHAPE, false, OLDER), Ok(()));
    assert_eq!(walk(SHAPE, true, NEWER), Ok(()));
}

#[test]
fn cut_and_longer_requests_are_refused() {
    for (flexible, whole) in [(false, OLDER), (true, NEWER)] {
        for end in 0..whole.len() {
            assert!(walk(SHAPE, flexible, &whole[..end]).is_err(), "{end}");
        }
        let longer = [whole, &[0]].concat();
        let left = Malformed::LeftOver { left: 1 };
        assert_eq!(walk(SHAPE, flexible, &longer), Err(left));
    }
}

#[test]
fn counts_beyond_the_bytes_are_refused_before_they_are_believed() {
    let refused = |value| {
        Err(Malformed::Impossible {
            field: COUNT,
            value,
        })
    };
    let many = i32::MAX.to_be_bytes();
    assert_eq!(walk(SHAPE, false, &many), refused(i32::MAX.into()));
    let below = (-2i32).to_be_bytes();
    assert_eq!(walk(SHAPE, false, &below), refused(-2));
    let many = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(walk(SHAPE, true, &many), refused(i64::from(u32::MAX) - 1));
    assert!(walk(SHAPE, false, &[0xff; 4]).is_err(), "none, and nothing");
}

#[test]
fn a_request_has_only_so_many_elements_in_all() {
    let shape: &[Shape] = &[Shape::Texts, Shape::Texts];
    let request = |first: usize, second: usize| {
        let mut bytes = Vec::new();
        for count in [first, second] {
            bytes.extend_from_slice(&u32::try_from(count).unwrap().to_be_bytes());
            bytes.resize(bytes.len() + 2 * count, 0xff);
        }
        bytes
    };
    let fits = request(ELEMENTS_MAX - 5, 5);
    assert_eq!(walk(shape, false, &fits), Ok(()));
    let refused = Malformed::Impossible {
        field: COUNT,
        value: 6,
    };
    let beyond = request(ELEMENTS_MAX - 5, 6);
    assert_eq!(walk(shape, false, &beyond), Err(refused));
}

#[test]
fn tagged_fields_count_as_elements() {
    let mut bytes = vec![0x80, 0x80, 0x08];
    bytes.resize(1 << 19, 0);
    let refused = Malformed::Impossible {
        field: "a count of tagged fields",
        value: 1 << 17,
    };
    assert_eq!(walk(&[], true, &bytes), Err(refused));
}

proptest! {
    #[test]
    fn garbage_is_walked_or_refused(
        flexible: bool, bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        // It ends, and says the same twice.
        let said = walk(SHAPE, flexible, &bytes);
        prop_assert_eq!(&said, &walk(SHAPE, flexible, &bytes));
        // Whatever is accepted has no byte too many.
        if said.is_ok() {
            let shorter = &bytes[..bytes.len() - 1];
            prop_assert!(walk(SHAPE, flexible, shorter).is_err());
        }
    }
}
