//! Unit tests of `frame_budget.rs`.

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PING: u8 = 6;

fn frame(kind: u8, payload: usize) -> Vec<u8> {
    let length = u32::try_from(payload).unwrap().to_be_bytes();
    [&length[1..], &[kind, 0, 0, 0, 0, 1], &vec![PING; payload]].concat()
}

#[test]
fn frames_are_found_across_any_read_boundaries() {
    let bytes = [PREFACE, &frame(PING, 8), &frame(DATA, 300), &frame(RST_STREAM, 4), &frame(4, 0)].concat();
    for size in 1..=bytes.len() {
        let (budget, mut frames) = (Budget::new(), Frames::new());
        assert!(bytes.chunks(size).all(|piece| frames.pay(piece, &budget)));
        assert_eq!(budget.0.get(), BUDGET_MAX - 2 * FRAME_COST - RESET_COST, "pieces of {size}");
    }
}

#[test]
fn a_flood_is_cut_off_and_a_normal_client_is_not() {
    // How many frames of a kind a connection may send at once.
    let send = |frames: &mut Frames, budget: &Budget, kind: u8, count: usize| {
        (0..count).take_while(|_| frames.pay(&frame(kind, 8), budget)).count()
    };
    let begin = || {
        let (budget, mut frames) = (Budget::new(), Frames::new());
        assert!(frames.pay(PREFACE, &budget));
        (budget, frames)
    };
    // Two requests, one of them cancelled, a WINDOW_UPDATE each: without end.
    let (budget, mut frames) = begin();
    for _ in 0..10_000 {
        budget.request();
        budget.request();
        let sent = [(1, 2), (RST_STREAM, 1), (8, 2)].map(|(kind, n)| send(&mut frames, &budget, kind, n));
        assert_eq!(sent, [2, 1, 2]);
        // Their response bytes.
        budget.earn(4);
    }
    let (budget, mut frames) = begin();
    assert_eq!(send(&mut frames, &budget, PING, 10_000), BUDGET_MAX as usize);
    // All cancelled: the budget is soon exhausted.
    let (budget, mut frames) = begin();
    let taken_back = (0..10_000).take_while(|_| {
        budget.request();
        send(&mut frames, &budget, 1, 1) == 1 && send(&mut frames, &budget, RST_STREAM, 1) == 1
    });
    assert!((100..=300).contains(&taken_back.count()));
}
