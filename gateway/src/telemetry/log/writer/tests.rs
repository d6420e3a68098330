use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// An output that takes a write only when the test says so, and as it says.
struct Gate {
    writes: Sender<Vec<u8>>,
    outcomes: Receiver<io::Result<usize>>,
}

impl Write for Gate {
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

fn gate() -> (Arc<LogQueue>, Receiver<Vec<u8>>, Sender<io::Result<usize>>) {
    let queue = Arc::new(LogQueue::new());
    let (writes, seen) = channel();
    let (answer, outcomes) = channel();
    let of_thread = queue.clone();
    thread::spawn(move || of_thread.write_to(Gate { writes, outcomes }));
    (queue, seen, answer)
}

#[test]
fn nothing_waits_for_an_output_that_blocks_and_what_is_dropped_is_counted() {
    let (queue, seen, answer) = gate();
    queue.push(b"first\n");
    assert_eq!(seen.recv().unwrap(), b"first\n");
    // The output blocks now. As much as fits waits, and no more.
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    for _ in 0..2 * WAITING_BYTES_MAX / line.len() {
        queue.push(&line);
    }
    let fits = (WAITING_BYTES_MAX / line.len()) as u64;
    assert_eq!(queue.dropped.load(Ordering::Relaxed), fits);
    assert_eq!(queue.state().waiting.len(), WAITING_BYTES_MAX);
    queue.flush(Some(Duration::from_millis(1)));
    // It goes on: all that waited is written, also in parts.
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
fn an_output_that_fails_loses_its_lines_and_not_the_writer() {
    let (queue, seen, answer) = gate();
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
