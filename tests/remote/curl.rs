//! curl, which repeats a request by itself where it takes the connection for one that had ended before: what
//! many others do too, and what nobody reads in their manuals.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::fleet::TOKEN;

/// Creates a job of each number, one after the other, on one connection as long as the other side keeps it.
/// Tells `answered` each number with its status, which is 0 where no answer came.
pub(crate) fn create(
    url: &str,
    version: &str,
    numbers: &[usize],
    folder: &Path,
    mut answered: impl FnMut(usize, u16),
) {
    let job = |n: &usize| {
        format!(
            "url = \"{url}/v1/jobs\"\n{version}\nsilent\nmax-time = 60\noutput = \"/dev/null\"\n\
             header = \"Authorization: Bearer {TOKEN}\"\nheader = \"Content-Type: application/json\"\n\
             data = \"{{\\\"name\\\":\\\"echo\\\",\\\"payload\\\":{{\\\"n\\\":{n}}}}}\"\n\
             write-out = \"%{{http_code}}\\n\"\n"
        )
    };
    let jobs: Vec<_> = numbers.iter().map(job).collect();
    let file = folder.join(format!("curl-{}-{version}", numbers[0]));
    fs::write(&file, jobs.join("next\n")).unwrap();
    let mut curl = Command::new("curl")
        .arg("--config")
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(curl.stdout.take().unwrap());
    let mut numbers = numbers.iter();
    for status in said.lines() {
        answered(*numbers.next().unwrap(), status.unwrap().parse().unwrap());
    }
    assert_eq!(numbers.len(), 0, "curl ended before its time");
    curl.wait().unwrap();
}
