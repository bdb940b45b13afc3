//! A client and a server with a certificate of its own making.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use data_encoding::BASE64;
use jobkeep::http::{Client, ClientBuilder, Pool};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConnection, Stream};

use super::client_script::{created, receipt};
use super::wire::Echo;
use crate::tls;

/// An authority that nobody knows.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        let text = BASE64.encode(self.0.der());
        let lines = text.as_bytes().chunks(64);
        let lines = lines.map(|line| String::from_utf8(line.to_vec()).unwrap());
        let lines = lines.collect::<Vec<_>>().join("\n");
        format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    }

    /// A server of that name, by a certificate of this authority, that answers one request if it comes
    /// so far.
    fn serve(&self, name: &str, answer: String) -> (SocketAddr, JoinHandle<bool>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let config = tls::server(&certificate, &key);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let play = move || {
            let (mut socket, _) = listener.accept().unwrap();
            let most = Duration::from_secs(60);
            socket.set_read_timeout(Some(most)).unwrap();
            let mut connection = ServerConnection::new(config).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            let mut text = Vec::new();
            let mut bytes = [0; 4096];
            while !text.ends_with(b"}") {
                match stream.read(&mut bytes) {
                    Ok(read) if read > 0 => text.extend_from_slice(&bytes[..read]),
                    _ => return false,
                }
            }
            stream.write_all(answer.as_bytes()).unwrap();
            true
        };
        (address, std::thread::Builder::new().spawn(play).unwrap())
    }
}

fn client(address: SocketAddr) -> ClientBuilder {
    Client::builder(Pool::host(format!("https://{address}")))
        .token("s3cret")
        .patience(Duration::ZERO)
}

fn echo() -> Echo {
    Echo {
        text: "hello".into(),
    }
}

#[test]
fn a_private_authority_is_trusted_where_the_client_is_told_to() {
    let authority = Authority::new();
    let receipt = receipt();
    let (address, server) = authority.serve("127.0.0.1", created(&receipt));
    let client = client(address).root_certificate(authority.pem());
    let client = client.build().unwrap();
    assert_eq!(client.enqueue(echo()).unwrap(), receipt);
    assert!(server.join().unwrap());
}

#[test]
fn a_stranger_gets_neither_token_nor_job() {
    let authority = Authority::new();
    let cases = [
        // An authority that nobody named, and the name of another host.
        ("127.0.0.1", None, "UnknownIssuer"),
        (
            "jobs.example.org",
            Some(authority.pem()),
            "not valid for name",
        ),
        (
            "127.0.0.1",
            Some(Authority::new().pem()),
            "invalid peer certificate",
        ),
    ];
    for (name, trusted, told) in cases {
        let (address, server) = authority.serve(name, String::new());
        let mut client = client(address);
        if let Some(trusted) = trusted {
            client = client.root_certificate(trusted);
        }
        let error = client.build().unwrap().enqueue(echo()).unwrap_err();
        assert!(error.is_unreachable() && !error.is_unknown(), "{error}");
        assert!(error.to_string().contains(told), "{error}");
        assert!(!server.join().unwrap());
    }
}
