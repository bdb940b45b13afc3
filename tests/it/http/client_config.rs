//! What is wrong with a configuration is told at once.

use jobkeep::http::{Client, ClientBuilder, Pool};

fn faults(builder: ClientBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert!(error.is_config());
    error.to_string()
}

#[test]
fn every_fault_is_told() {
    let builder = Client::builder("ftp://jobs.example.org")
        .pool(Pool::new("https://ada:s3cret@images.example.org").job("a"))
        .pool(Pool::new("https://b.example.org").job("a").queue("q"))
        .pool(Pool::hosts(["https://c.example.org", "nonsense"]).queue("q"))
        .pool(Pool::new("https://d.example.org"))
        .pool(Pool::hosts([""; 0]).queue("r"))
        .server("web-1", "https://one.example.org")
        .server("web-1", "https://two.example.org")
        .server("web-2", "https://{server}.example.org")
        .server("web-3", "https://three.example.org/?a=b")
        .servers("https://{host}.example.org")
        .servers("https://{server}.{region}.example.org")
        .token("two\nlines")
        .timeout(std::time::Duration::ZERO)
        .root_certificate("nonsense");
    assert_eq!(
        faults(builder),
        "build the client: 15 faults in its configuration\n\
         - servers: the pattern is given twice\n\
         - URL 1 of a pool: it does not begin with `http://` or `https://`\n\
         - URL 1 of a pool: it holds a user name: give a token with `token`\n\
         - URL 2 of a pool: it does not begin with `http://` or `https://`\n\
         - pool https://d.example.org: no job goes there: name jobs or queues\n\
         - pool: it must have at least one host\n\
         - job `a`: two pools take it\n\
         - queue `q`: two pools take it\n\
         - server `web-1`: it is given twice\n\
         - server `web-2`: a placeholder stands in the pattern of `servers` only\n\
         - server `web-3`: it has a `?` or `#`: give it up to its path\n\
         - servers: the only placeholder is `{server}`\n\
         - root_certificate: it must hold a certificate in PEM\n\
         - timeout: it must be longer than zero\n\
         - token: it must be non-empty printable ASCII without spaces"
    );
}

#[test]
fn a_pattern_does_not_let_a_receipt_choose_the_host() {
    let told = |pattern: &str| faults(Client::builder("https://a.example.org").servers(pattern));
    for pattern in [
        "http://{server}",
        "http://{server}:8081",
        "http://web-{server}:8081/x",
        "http://{server}./x.y",
    ] {
        assert_eq!(
            told(pattern),
            "build the client: servers: its host does not end with a domain behind `{server}`, so that a \
             forged receipt could name any host: add one, or name each server with `server`"
        );
    }
    assert_eq!(
        told("https://jobs.example.org"),
        "build the client: servers: it has no `{server}`"
    );
    for pattern in [
        "http://jobs.example.org:{server}",
        "{server}://jobs.example.org",
    ] {
        assert!(!told(pattern).is_empty());
    }
    for pattern in [
        "http://{server}.internal:8081",
        "https://web-{server}.jobs.example.org/base/",
        "https://jobs.example.org/{server}",
    ] {
        let builder = Client::builder("https://a.example.org").servers(pattern);
        assert!(builder.build().is_ok(), "{pattern}");
    }
}

#[test]
fn a_token_travels_readable_only_where_that_is_allowed() {
    let told = |builder: ClientBuilder| faults(builder.token("s3cret"));
    let fault = |url: &str| {
        format!(
            "build the client: token: it would travel to {url} readable for everybody on the way: use \
             `https`, or allow it with `plain_http`"
        )
    };
    let plain = || Client::builder("http://jobs.example.org");
    assert_eq!(told(plain()), fault("http://jobs.example.org"));
    let secure = || Client::builder("https://jobs.example.org");
    assert_eq!(
        told(secure().server("web-1", "http://10.0.0.1:8081")),
        fault("http://10.0.0.1:8081")
    );
    assert_eq!(
        told(secure().servers("http://{server}.internal:8081")),
        fault("http://{server}.internal:8081")
    );
    assert!(plain().build().is_ok());
    assert!(plain().token("s3cret").plain_http(true).build().is_ok());
    for loopback in ["http://127.0.0.1:1", "http://[::1]:1", "http://LOCALHOST:1"] {
        let client = Client::builder(loopback).token("s3cret");
        assert!(client.build().is_ok(), "{loopback}");
    }
}

#[test]
fn neither_a_client_nor_its_builder_shows_the_token() {
    let builder = Client::builder("https://jobs.example.org").token("s3cret");
    assert!(!format!("{builder:?}").contains("s3cret"));
    let pool = Pool::new("https://ada:s3cret@jobs.example.org").job("a");
    assert_eq!(
        format!("{pool:?}"),
        "Pool { jobs: [\"a\"], queues: [], .. }"
    );
    let client = builder.build().unwrap();
    let text = format!("{client:?}");
    assert!(
        text.contains("https://jobs.example.org") && !text.contains("s3cret"),
        "{text}"
    );
}
