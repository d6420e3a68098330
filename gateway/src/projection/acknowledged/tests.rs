//! Unit tests of `acknowledged.rs`.

use super::*;

fn entry(sequence: u64, bytes: usize) -> Value {
    let text = |text: String| Value::BulkString(text.into_bytes());
    Value::Array(vec![text(format!("{sequence}-0")), Value::Array(vec![text("x".repeat(bytes))])])
}

fn acknowledged(sequence: u64) -> Acknowledged {
    let (rows, is_whole) = ("b s row".into(), false);
    Acknowledged { sequence, kind: "confirm", at: 1, clock: 1, fields: Vec::new(), rows, is_whole }
}

fn sequences(buffer: &AcknowledgementBuffer, after: u64) -> (Vec<u64>, Vec<u64>) {
    let (read, acknowledged) = buffer.entries_after(after);
    (
        read.iter().map(|(at, _)| *at).collect(),
        acknowledged.iter().map(|acknowledged| acknowledged.sequence).collect(),
    )
}

#[test]
fn an_acknowledged_change_is_kept_until_it_is_read_back() {
    let mut buffer = AcknowledgementBuffer::default();
    buffer.reset(5, vec![entry(4, 1), entry(5, 1)]);
    for sequence in [7, 6, 7, 5, 9] {
        assert!(buffer.acknowledge("r", acknowledged(sequence)));
    }
    assert_eq!((buffer.since(), buffer.last()), (3, 9));
    assert_eq!(buffer.entries_after(4).0, [(5, entry(5, 1))]);
    assert_eq!(sequences(&buffer, 4), (vec![5], vec![7, 6, 9]));
    buffer.note_read([entry(6, 1), entry(7, 1)]);
    // Entries come again after a lost connection.
    buffer.note_read([entry(7, 1)]);
    assert_eq!(sequences(&buffer, 0), (vec![4, 5, 6, 7], vec![9]));
    // After the report nothing is acknowledged, and later only replies of the Redis whose epoch was
    // adopted, even the previous one.
    buffer.close();
    assert!(!buffer.acknowledge("r", acknowledged(11)) && !buffer.may_acknowledge("other"));
    buffer.trust_epoch("other");
    assert!(!buffer.may_acknowledge("r") && buffer.acknowledge("other", acknowledged(12)));
    buffer.close();
    buffer.trust_epoch("r");
    assert!(buffer.may_acknowledge("r") && !buffer.may_acknowledge("other"));
    assert_eq!(buffer.last(), 12);
    buffer.reset(12, vec![entry(9, 1)]);
    assert_eq!((buffer.since(), sequences(&buffer, 0)), (8, (vec![9], vec![12])));
}

#[test]
fn the_buffer_is_bounded_and_tracks_what_it_dropped() {
    let mut buffer = AcknowledgementBuffer::default();
    buffer.reset(0, Vec::new());
    for sequence in 1..100 {
        buffer.note_read([entry(sequence, 1 << 20)]);
    }
    let (read, _) = sequences(&buffer, 0);
    assert_eq!((read.len(), buffer.since(), buffer.last()), (15, 84, 99));
    assert!(buffer.acknowledge("r", Acknowledged { rows: "x".repeat(BYTES_MAX + 1), ..acknowledged(100) }));
    assert_eq!((buffer.since(), buffer.bytes, buffer.last()), (100, 0, 100));
}
