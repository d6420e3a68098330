//! Unit tests of `writer.rs`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// An output whose writes return when, and what, the test sends.
struct BlockingOutput {
    writes: Sender<Vec<u8>>,
    outcomes: Receiver<io::Result<usize>>,
}

impl Write for BlockingOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.writes.send(bytes.to_vec());
        self.outcomes
            .recv()
            .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
            .map(|most| most.min(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn blocking_output() -> (Arc<LogQueue>, Receiver<Vec<u8>>, Sender<io::Result<usize>>) {
    let queue = Arc::new(LogQueue::new());
    let (writes, seen) = channel();
    let (answer, outcomes) = channel();
    let of_thread = queue.clone();
    thread::spawn(move || of_thread.write_to(BlockingOutput { writes, outcomes }));
    (queue, seen, answer)
}

#[test]
fn a_blocked_output_delays_no_thread_and_drops_are_counted() {
    let (queue, seen, answer) = blocking_output();
    queue.push(b"first\n");
    assert_eq!(seen.recv().unwrap(), b"first\n");
    // The output blocks now. The queue takes lines up to its limit.
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    for _ in 0..2 * WAITING_BYTES_MAX / line.len() {
        queue.push(&line);
    }
    let fits = (WAITING_BYTES_MAX / line.len()) as u64;
    assert_eq!(queue.dropped.load(Ordering::Relaxed), fits);
    assert_eq!(queue.state().waiting.len(), WAITING_BYTES_MAX);
    queue.flush(Some(Duration::from_millis(1)));
    // It continues: all queued lines are written, also in parts.
    answer.send(Ok(usize::MAX)).unwrap();
    assert_eq!(seen.recv().unwrap().len(), WAITING_BYTES_MAX);
    answer.send(Ok(1000)).unwrap();
    answer.send(Err(io::ErrorKind::WouldBlock.into())).unwrap();
    answer.send(Err(io::ErrorKind::Interrupted.into())).unwrap();
    answer.send(Ok(usize::MAX)).unwrap();
    queue.flush(None);
    assert_eq!(queue.dropped.load(Ordering::Relaxed), fits);
}

#[test]
fn a_failed_write_loses_its_lines_and_keeps_the_writer() {
    let (queue, seen, answer) = blocking_output();
    answer.send(Ok(4)).unwrap();
    answer.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    queue.push(b"one\ntwo\n");
    queue.flush(None);
    assert_eq!(queue.dropped.load(Ordering::Relaxed), 1);
    answer.send(Ok(usize::MAX)).unwrap();
    queue.push(b"three\n");
    queue.flush(None);
    assert_eq!(seen.try_iter().last().unwrap(), b"three\n");
}
