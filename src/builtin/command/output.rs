//! What a program writes, as far as it is kept.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read};
use std::mem;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// No pipe holds more. What is written on and on by a process that left the group ends here.
const PIPE_BYTES: usize = 1024 * 1024;

/// The end of a stream that is longer.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    bound: usize,
}

impl Tail {
    fn new(bound: usize) -> Self {
        let bytes = Vec::new();
        Self { bytes, bound }
    }

    fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        // By halves, so that each byte is moved once. One byte beyond the bound says that there were more.
        let surplus = self.bytes.len().saturating_sub(self.bound + 1);
        if surplus > self.bound {
            self.bytes.drain(..surplus);
        }
    }

    /// The last bytes. They are more than the bound where the stream had more.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads the streams until all have ended, or until `stop` has: then what their pipes hold is read, and
/// whoever still has their other end is not waited for.
pub(super) fn collect<const N: usize>(
    streams: [File; N],
    stop: &PipeReader,
    bound: usize,
) -> [Tail; N] {
    let mut streams = streams.map(Some);
    let mut tails: [Tail; N] = std::array::from_fn(|_| Tail::new(bound));
    let mut buffer = vec![0; 16 * 1024];
    let mut stopping = false;
    let mut left = PIPE_BYTES;
    while left > 0 && streams.iter().any(Option::is_some) {
        let Ok((ready, stopped)) = wait(&streams, stop, stopping) else {
            break;
        };
        let idle = !ready.contains(&true);
        if stopping && idle {
            break;
        }
        for ((stream, tail), ready) in streams.iter_mut().zip(&mut tails).zip(ready) {
            if ready {
                let read = read(stream, &mut buffer);
                tail.push(buffer.get(..read).unwrap_or_default());
                left = left.saturating_sub(if stopping { read } else { 0 });
            }
        }
        stopping |= stopped;
    }
    tails
}

/// Which streams can be read without waiting, and whether `stop` has ended. Waits for one of them unless
/// it is `stopping`.
fn wait<const N: usize>(
    streams: &[Option<File>; N],
    stop: &PipeReader,
    stopping: bool,
) -> Result<([bool; N], bool), Errno> {
    const AT_ONCE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let open = streams.iter().enumerate();
    let open = open.filter_map(|(place, stream)| Some((place, stream.as_ref()?)));
    let (places, mut asked): (Vec<_>, Vec<_>) = open
        .map(|(place, stream)| (place, PollFd::new(stream, PollFlags::IN)))
        .unzip();
    asked.push(PollFd::new(stop, PollFlags::IN));
    loop {
        match poll(&mut asked, stopping.then_some(&AT_ONCE)) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(cause) => return Err(cause),
        }
    }
    let mut ready = [false; N];
    for (place, asked) in places.iter().zip(&asked) {
        if let Some(ready) = ready.get_mut(*place) {
            *ready = !asked.revents().is_empty();
        }
    }
    let stopped = asked.last().is_some_and(|stop| !stop.revents().is_empty());
    Ok((ready, stopped))
}

/// How many bytes came. A stream that has ended or fails is closed.
fn read(stream: &mut Option<File>, buffer: &mut [u8]) -> usize {
    let Some(file) = stream else { return 0 };
    match file.read(buffer) {
        Ok(0) => {
            mem::take(stream);
            0
        }
        Ok(read) => read,
        Err(cause) => {
            if cause.kind() != ErrorKind::Interrupted {
                mem::take(stream);
            }
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn of_a_long_stream_the_end_is_kept_in_little_room() {
        let mut tail = Tail::new(10);
        for digit in 0..100_u8 {
            tail.push(&[digit; 3]);
            assert!(tail.bytes.len() <= 22);
        }
        let bytes = tail.into_bytes();
        assert!(bytes.len() > 10);
        assert!(bytes.ends_with(&[96, 97, 97, 97, 98, 98, 98, 99, 99, 99]));
    }

    #[test]
    fn what_the_pipe_holds_is_read_and_its_other_end_is_not_waited_for() {
        let (stream, mut writer) = pipe().unwrap();
        let (stop, stopper) = pipe().unwrap();
        writer.write_all(b"before").unwrap();
        drop(stopper);
        let [tail] = collect([File::from(OwnedFd::from(stream))], &stop, 100);
        assert_eq!(tail.into_bytes(), b"before");
        drop(writer);
    }
}
