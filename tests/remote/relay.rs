//! What stands between a balancer and a host, and has one host die at the worst moment: it took a job, and its
//! answer never came.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

/// On a thread that ends with the process of the test, if not before.
fn spawn(act: impl FnOnce() + Send + 'static) {
    drop(Builder::new().spawn(act).unwrap());
}

/// Relays before several hosts, which drop one answer between them.
#[derive(Clone)]
pub(crate) struct Relays {
    accepted: Arc<AtomicUsize>,
    dropped: usize,
}

impl Relays {
    /// The answer to the job that is accepted as this one, counted from 1, does not come through.
    pub(crate) fn dropping(dropped: usize) -> Self {
        Self {
            accepted: Arc::default(),
            dropped,
        }
    }

    /// Starts one before the host at this address, and says where it listens.
    pub(crate) fn before(&self, host: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let relays = self.clone();
        spawn(move || {
            for near in listener.incoming() {
                let (relays, host) = (relays.clone(), host.clone());
                spawn(move || {
                    // One side has gone: so does the other.
                    let _ = relays.relay(&near.unwrap(), &host);
                });
            }
        });
        address
    }

    /// How many jobs were accepted, answers that were dropped included.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    fn relay(&self, near: &TcpStream, host: &str) -> io::Result<()> {
        let far = TcpStream::connect(host)?;
        let (from, mut to) = (near.try_clone()?, far.try_clone()?);
        spawn(move || {
            let _ = io::copy(&mut &from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let passed = self.pass_answers(&far, near);
        let _ = near.shutdown(Shutdown::Both);
        let _ = far.shutdown(Shutdown::Both);
        passed
    }

    /// A host sends the head of an answer in one piece.
    fn pass_answers(&self, mut far: &TcpStream, mut near: &TcpStream) -> io::Result<()> {
        let mut piece = [0; 16 << 10];
        loop {
            let read = far.read(&mut piece)?;
            let answer = &piece[..read];
            if answer.is_empty() {
                return Ok(());
            }
            if answer.starts_with(b"HTTP/1.1 201")
                && self.accepted.fetch_add(1, Ordering::SeqCst) + 1 == self.dropped
            {
                return Ok(());
            }
            near.write_all(answer)?;
        }
    }
}
