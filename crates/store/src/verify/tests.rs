//! Any single change of any row is found at that row.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::record::ERASURE;

/// A chain of erasures, which need no rows beside them, and its head.
fn chain(n_records: usize) -> (Vec<ChainRow>, Hash) {
    let mut previous = START;
    let rows = (1..=n_records as i64).map(|seq| {
        let mut row = ChainRow {
            seq,
            id: format!("rec_{seq}"),
            kind: ERASURE.to_owned(),
            at: 1000 + seq,
            body: format!("{{\"n_erased\":{seq}}}"),
            previous: previous.to_vec(),
            hash: Vec::new(),
            decision: None,
            review: None,
            change: None,
            salt: None,
            content: None,
            words: None,
        };
        previous = record(&row).hash(&previous);
        row.hash = previous.to_vec();
        row
    });
    (rows.collect(), previous)
}

fn walked(rows: &[ChainRow], head_seq: i64, head: &Hash) -> Verification {
    let mut walk = Walk::new(None, Erasures::default());
    for row in rows {
        if let Err(broken) = walk.step(row) {
            return Verification::Broken(broken);
        }
    }
    walk.end(head_seq, head)
}

/// The place of the first broken record.
fn broken(rows: &[ChainRow], n_records: usize, head: &Hash) -> Option<i64> {
    match walked(rows, n_records as i64, head) {
        Verification::Broken(broken) => Some(broken.seq),
        _ => None,
    }
}

fn flip(bytes: &mut [u8], at: Index, bit: u8) {
    if !bytes.is_empty() {
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << (bit % 7);
    }
}

fn flip_text(text: &mut String, at: Index, bit: u8) {
    let mut bytes = std::mem::take(text).into_bytes();
    flip(&mut bytes, at, bit);
    // Seven bits of ASCII stay ASCII.
    *text = String::from_utf8(bytes).unwrap();
}

#[test]
fn an_untouched_chain_is_whole() {
    for n_records in [0, 1, 9] {
        let (rows, head) = chain(n_records);
        assert_eq!(broken(&rows, n_records, &head), None);
    }
}

#[test]
fn fields_do_not_run_into_each_other() {
    let row = |id: &str, kind: &str| Record {
        seq: 1,
        id: id.to_owned(),
        kind: kind.to_owned(),
        at: 0,
        body: String::new(),
    };
    assert_ne!(row("ab", "c").hash(&START), row("a", "bc").hash(&START));
}

proptest! {
    #[test]
    fn a_flipped_bit_is_found_at_its_record(
        n_records in 1usize..20, which: Index, column in 0..7, at: Index, bit: u8,
    ) {
        let (mut rows, head) = chain(n_records);
        let which = which.index(n_records);
        let row = &mut rows[which];
        match column {
            0 => flip_text(&mut row.id, at, bit),
            1 => flip_text(&mut row.kind, at, bit),
            2 => flip_text(&mut row.body, at, bit),
            3 => flip(&mut row.previous, at, bit),
            4 => flip(&mut row.hash, at, bit),
            5 => row.at ^= 1 << (bit % 63),
            _ => row.seq ^= 1 << (bit % 63),
        }
        prop_assert_eq!(broken(&rows, n_records, &head), Some(which as i64 + 1));
    }

    #[test]
    fn a_missing_record_is_found(n_records in 1usize..20, which: Index) {
        let (mut rows, head) = chain(n_records);
        let which = which.index(n_records);
        rows.remove(which);
        prop_assert_eq!(broken(&rows, n_records, &head), Some(which as i64 + 1));
    }

    #[test]
    fn a_gap_closed_by_renumbering_is_found(n_records in 2usize..20, which: Index) {
        let (mut rows, head) = chain(n_records);
        let which = which.index(n_records - 1);
        rows.remove(which);
        rows[which..].iter_mut().for_each(|row| row.seq -= 1);
        prop_assert_eq!(broken(&rows, n_records, &head), Some(which as i64 + 1));
    }

    #[test]
    fn two_records_exchanged_are_found_at_the_first(
        n_records in 2usize..20, one: Index, other: Index,
    ) {
        let (mut rows, head) = chain(n_records);
        let (one, other) = (one.index(n_records), other.index(n_records));
        prop_assume!(one != other);
        rows.swap(one, other);
        let (a, b) = (rows[one].seq, rows[other].seq);
        (rows[one].seq, rows[other].seq) = (b, a);
        prop_assert_eq!(broken(&rows, n_records, &head), Some(one.min(other) as i64 + 1));
    }

    #[test]
    fn a_tail_written_anew_is_found_at_the_head(n_records in 1usize..20, which: Index) {
        let (mut rows, head) = chain(n_records);
        let which = which.index(n_records);
        rows[which].body.push(' ');
        let mut previous: Hash = rows[which].previous.clone().try_into().unwrap();
        for row in &mut rows[which..] {
            row.previous = previous.to_vec();
            previous = record(row).hash(&previous);
            row.hash = previous.to_vec();
        }
        prop_assert_eq!(broken(&rows, n_records, &head), Some(n_records as i64));
    }
}
