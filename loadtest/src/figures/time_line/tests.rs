//! Unit tests of `time_line.rs`.

use super::*;

/// Counts, and whether it was closed.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counted(u64, bool);

impl Slot for Counted {
    const SLOTS_MAX: i64 = 8;

    fn add(&mut self, other: &Counted) {
        self.0 += other.0;
    }

    fn close(&mut self) {
        self.1 = true;
    }
}

fn line(seconds: impl IntoIterator<Item = i64>) -> TimeLine<Counted> {
    let mut line = TimeLine::<Counted>::default();
    seconds.into_iter().for_each(|second| line.slot(second * 1_000_000).0 += 1);
    line
}

fn counts(line: &TimeLine<Counted>) -> Vec<(i64, u64)> {
    line.slots.iter().map(|(number, slot)| (*number, slot.0)).collect()
}

#[test]
fn a_run_that_gets_long_has_longer_slots_and_loses_none() {
    let long = line(-3..100);
    assert!(long.slots.len() <= 8 && long.slot_seconds == 16, "{long:?}");
    assert_eq!(counts(&long).iter().map(|(_, count)| count).sum::<u64>(), 103);
    assert_eq!(long.ends(), Some((-16, 112)));
    assert_eq!(line([]).ends(), None);
}

#[test]
fn lines_of_different_lengths_add_up() {
    let mut short = line([0, 1, 5]);
    short.add(&line(0..16));
    assert_eq!((short.slot_seconds, counts(&short)[0], counts(&short)[2]), (2, (0, 4), (2, 3)));
    let joined = line(0..8).joined(2);
    assert_eq!(counts(&joined), [(0, 4), (1, 4)]);
}

#[test]
fn a_slot_is_closed_when_the_second_one_after_it_begins() {
    let closed = |seconds: &[i64]| -> Vec<i64> {
        let line = line(seconds.iter().copied());
        line.slots.iter().filter(|(_, slot)| slot.1).map(|(number, _)| *number).collect()
    };
    assert_eq!(closed(&[0, 1]), [0; 0]);
    assert_eq!(closed(&[0, 1, 2]), [0]);
    assert_eq!(closed(&[0, 1, 7]), [0, 1]);
}
