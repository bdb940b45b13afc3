//! The check of the addresses that a name stands for.

use std::error;
use std::fmt;
use std::sync::Arc;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::address::is_public;

/// Looks names up, and lets through what may be connected to. ureq connects to what it gives and looks up
/// nothing itself, so that a name which stands for something else a moment later changes nothing.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) inner: Arc<dyn Resolver>,
    pub(super) private: bool,
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in &found {
            if self.private || is_public(address.ip()) {
                allowed.push(*address);
            }
        }
        if allowed.is_empty() {
            return Err(Error::Other(Box::new(NotPublic)));
        }
        Ok(allowed)
    }
}

/// None of the addresses may be connected to.
#[derive(Debug)]
struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the host's address is not public: allow it with `HttpCalls::allow_private_addresses`",
        )
    }
}

impl error::Error for NotPublic {}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{Cursor, Read};
    use std::net::{IpAddr, SocketAddr};
    use std::sync::Mutex;
    use std::time::Duration;

    use ureq::unversioned::transport::{
        Buffers, ConnectionDetails, Connector, LazyBuffers, Transport,
    };

    use super::*;
    use crate::builtin::{HttpCall, HttpCalls};
    use crate::{Completed, Manager, MemoryStore, NewJob, Reason};

    const NOT_PUBLIC: &str = "the host's address is not public";

    /// What names stand for, one look-up after the other.
    #[derive(Debug)]
    struct Names(Mutex<VecDeque<(&'static str, Vec<IpAddr>)>>);

    impl Resolver for Names {
        fn resolve(
            &self,
            uri: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            let next = self.0.lock().unwrap().pop_front();
            let (name, addresses) = next.ok_or(Error::HostNotFound)?;
            assert_eq!(uri.host(), Some(name));
            let mut found = self.empty();
            for address in addresses {
                found.push(SocketAddr::new(address, 80));
            }
            Ok(found)
        }
    }

    /// Servers at all addresses: each connection gets the next answer. Notes where each was to lead.
    #[derive(Clone, Debug)]
    struct Internet {
        answers: Arc<Mutex<VecDeque<String>>>,
        connected: Arc<Mutex<Vec<Vec<IpAddr>>>>,
    }

    impl Connector for Internet {
        type Out = Line;

        fn connect(
            &self,
            details: &ConnectionDetails<'_>,
            _: Option<()>,
        ) -> Result<Option<Line>, Error> {
            let addresses = details.addrs.iter().map(SocketAddr::ip).collect();
            self.connected.lock().unwrap().push(addresses);
            let answer = self.answers.lock().unwrap().pop_front();
            Ok(answer.map(|answer| Line {
                buffers: LazyBuffers::new(4096, 4096),
                answer: Cursor::new(answer),
            }))
        }
    }

    #[derive(Debug)]
    struct Line {
        buffers: LazyBuffers,
        answer: Cursor<String>,
    }

    impl Transport for Line {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            let amount = self.answer.read(self.buffers.input_append_buf())?;
            self.buffers.input_appended(amount);
            Ok(amount > 0)
        }

        fn is_open(&mut self) -> bool {
            false
        }
    }

    const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

    fn moved(location: &str) -> String {
        format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What became of a call of `http://a.example/`.
    struct Called {
        done: Completed<HttpCall>,
        connected: Vec<Vec<IpAddr>>,
        looked_up: usize,
    }

    fn call(mut calls: HttpCalls, names: &[(&'static str, &[&str])], answers: &[&str]) -> Called {
        let stand = |(name, texts): &(&'static str, &[&str])| (*name, addresses(texts));
        let resolver = Arc::new(Names(Mutex::new(names.iter().map(stand).collect())));
        calls.resolver = resolver.clone();
        let internet = Internet {
            answers: Arc::new(Mutex::new(
                answers.iter().map(ToString::to_string).collect(),
            )),
            connected: Arc::default(),
        };
        let connected = Arc::clone(&internet.connected);
        let manager = Manager::builder(MemoryStore::new())
            .handle::<HttpCall>(move |call, ctx| call.run_through(internet.clone(), &calls, ctx))
            .start()
            .unwrap();
        let job = NewJob::new(HttpCall::new("GET", "http://a.example/")).attempts(1);
        let receipt = manager.enqueue(job).unwrap();
        let done = manager.wait(&receipt, Duration::from_secs(60)).unwrap();
        let connected = connected.lock().unwrap().clone();
        let looked_up = names.len() - resolver.0.lock().unwrap().len();
        Called {
            done,
            connected,
            looked_up,
        }
    }

    #[track_caller]
    fn assert_refused(done: Completed<HttpCall>) {
        let failure = done.into_output().unwrap_err();
        assert_eq!(failure.reason(), Reason::Permanent, "{failure}");
        assert!(failure.message().contains(NOT_PUBLIC), "{failure}");
    }

    #[test]
    fn of_a_name_only_the_public_addresses_are_connected_to() {
        let mixed = [
            "10.0.0.1",
            "1.1.1.1",
            "::1",
            "169.254.169.254",
            "2606:4700::1111",
            "::ffff:127.0.0.1",
        ];
        let called = call(
            HttpCalls::to(["a.example"]),
            &[("a.example", &mixed)],
            &[DONE],
        );
        assert_eq!(called.done.into_output().unwrap().body().text(), "done");
        let public = addresses(&["1.1.1.1", "2606:4700::1111"]);
        assert_eq!(called.connected, [public]);
    }

    #[test]
    fn a_name_of_private_addresses_only_is_refused() {
        for private in [
            &["192.168.1.1"] as &[_],
            &["::1"],
            &["127.0.0.1", "fe80::1", "10.0.0.1"],
        ] {
            let called = call(
                HttpCalls::to(["a.example"]),
                &[("a.example", private)],
                &[DONE],
            );
            assert_refused(called.done);
            assert!(called.connected.is_empty());
        }
    }

    #[test]
    fn a_name_is_looked_up_once_for_a_connection() {
        let names: [(_, &[_]); 2] = [("a.example", &["1.1.1.1"]), ("a.example", &["127.0.0.1"])];
        let called = call(HttpCalls::to(["a.example"]), &names, &[DONE]);
        assert!(called.done.output().is_ok());
        assert_eq!(called.connected, [addresses(&["1.1.1.1"])]);
        assert_eq!(called.looked_up, 1);
    }

    #[test]
    fn a_name_that_becomes_private_is_refused_at_the_next_hop() {
        let names: [(_, &[_]); 2] = [("a.example", &["1.1.1.1"]), ("a.example", &["127.0.0.1"])];
        for location in ["/again", "http://a.example/again"] {
            let called = call(
                HttpCalls::to(["a.example"]),
                &names,
                &[&moved(location), DONE],
            );
            assert_refused(called.done);
            assert_eq!(called.connected, [addresses(&["1.1.1.1"])]);
            assert_eq!(called.looked_up, 2);
        }
    }

    #[test]
    fn a_redirect_to_an_allowed_host_is_refused_where_its_address_is_private() {
        for (host, address) in [
            ("b.example", "127.0.0.1"),
            ("b.example", "169.254.169.254"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            let moved = moved(&format!("http://{host}/"));
            let names: [(_, &[_]); 2] = [("a.example", &["1.1.1.1"]), (host, &[address])];
            let calls = HttpCalls::to(["a.example", host]);
            let refused = call(calls.clone(), &names, &[&moved, DONE]);
            assert_refused(refused.done);
            assert_eq!(refused.connected, [addresses(&["1.1.1.1"])]);

            let calls = calls.allow_private_addresses();
            let followed = call(calls, &names, &[&moved, DONE]);
            assert!(followed.done.output().is_ok());
            let both = [addresses(&["1.1.1.1"]), addresses(&[address])];
            assert_eq!(followed.connected, both);
        }
    }
}
