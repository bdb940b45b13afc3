//! Calls of a server whose certificate nobody signed but itself.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use jobkeep::builtin::{HttpCall, HttpCalls};
use jobkeep::{Completed, Manager, MemoryStore, NewJob, Reason};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::http_server::{Server, accept, answer, assert_failed, get, local, request};
use crate::place::PATIENCE;
use crate::tls;

fn self_signed(name: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    tls::server(&certificate, &key)
}

/// Answers each connection with the next text, and gives back what was asked by those that trusted it.
fn serve(name: &str, answers: Vec<String>) -> (SocketAddr, JoinHandle<Vec<Option<String>>>) {
    let config = self_signed(name);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |text: String| {
        let mut socket = accept(&listener);
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).ok()?;
        }
        let mut stream = Stream::new(&mut connection, &mut socket);
        let asked = request(&mut stream);
        stream.write_all(text.as_bytes()).unwrap();
        Some(asked)
    };
    let play = move || answers.into_iter().map(answer).collect();
    (address, Builder::new().spawn(play).unwrap())
}

fn manager(calls: HttpCalls) -> Manager {
    Manager::builder(MemoryStore::new())
        .http_calls(calls)
        .start()
        .unwrap()
}

fn run(manager: &Manager, call: HttpCall) -> Completed<HttpCall> {
    let receipt = manager.enqueue(NewJob::new(call).attempts(1)).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap()
}

#[test]
fn each_job_says_whether_its_server_must_be_trusted() {
    // Also one that has another name.
    for name in ["127.0.0.1", "other.example"] {
        let done = answer("200 OK", "", "done");
        let (address, server) = serve(name, vec![done; 4]);
        let manager = manager(local());
        let call = || get(format!("https://{address}/"));
        for verify in [None, Some(false), Some(true), Some(false)] {
            let call = verify.map_or_else(call, |verify| call().verify_tls(verify));
            let done = run(&manager, call.header("authorization", "s3cret"));
            if verify == Some(false) {
                assert_eq!(done.into_output().unwrap().body().text(), "done");
            } else {
                // What a new certificate may heal.
                assert_failed(done, Reason::Error, "invalid peer certificate");
            }
        }
        let trusted: Vec<_> = server.join().unwrap();
        let trusted: Vec<_> = trusted.iter().map(Option::is_some).collect();
        assert_eq!(trusted, [false, true, false, true]);
    }
}

#[test]
fn a_redirect_to_a_server_that_is_not_trusted_is_not_followed() {
    for verify in [true, false] {
        let (there, strange) = serve("127.0.0.1", vec![answer("200 OK", "", "there")]);
        let location = format!("location: https://{there}/\r\n");
        let here = Server::saying([answer("302 Found", &location, "")]);
        let done = run(&manager(local()), get(here.url("/")).verify_tls(verify));
        if verify {
            assert_failed(done, Reason::Error, "invalid peer certificate");
        } else {
            assert_eq!(done.into_output().unwrap().body().text(), "there");
        }
        assert_eq!(strange.join().unwrap()[0].is_none(), verify);
    }
}
