//! The jobs: made through the balancer, and asked for where their receipts say.

use std::time::Duration;

use data_encoding::BASE64;
use jobkeep::http::Client;
use jobkeep::{Completed, Error, Job, Receipt};
use serde::{Deserialize, Serialize};

use crate::options::Options;

/// How wide the thumbnails of each photo are, in pixels.
pub(crate) const WIDTHS: [u32; 3] = [160, 480, 1_024];

/// So long a visitor waits while all hosts are busy or away.
const PATIENCE: Duration = Duration::from_secs(5);

/// The job of the hosts, as whoever creates it sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Thumbnail {
    photo: String,
    width: u32,
}

/// Its output.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Picture {
    jpeg: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Job for Thumbnail {
    const NAME: &'static str = "thumbnail";
    type Output = Picture;
}

impl Picture {
    pub(crate) fn jpeg(&self) -> Option<Vec<u8>> {
        BASE64.decode(self.jpeg.as_bytes()).ok()
    }
}

/// What is known of one thumbnail.
#[derive(Debug)]
pub(crate) enum Seen {
    Waits,
    Done(Picture),
    /// The picture will not come: why.
    Failed(String),
    /// Its host cannot be asked just now. It has the job, and its answer comes when it is back.
    Away,
}

pub(crate) struct Thumbnails {
    creating: Client,
    asking: Client,
}

impl Thumbnails {
    pub(crate) fn through(options: &Options) -> Result<Self, Error> {
        let client = |patience| {
            let mut client = Client::builder(&*options.jobs).patience(patience);
            for (name, url) in &options.hosts {
                client = client.server(name, url);
            }
            if let Some(token) = &options.token {
                client = client.token(token);
            }
            client.build()
        };
        Ok(Self {
            creating: client(PATIENCE)?,
            asking: client(Duration::ZERO)?,
        })
    }

    /// Makes a job for each width, each on the host that the balancer chooses. Gives the receipts of those
    /// that were made before one could not be.
    pub(crate) fn create(&self, photo: &[u8]) -> (Vec<Receipt<Thumbnail>>, Result<(), Error>) {
        let photo = BASE64.encode(photo);
        let mut receipts = Vec::new();
        for width in WIDTHS {
            let photo = photo.clone();
            match self.creating.enqueue(Thumbnail { photo, width }) {
                Ok(receipt) => receipts.push(receipt),
                Err(error) => return (receipts, Err(error)),
            }
        }
        (receipts, Ok(()))
    }

    pub(crate) fn look(&self, receipt: &Receipt<Thumbnail>) -> Seen {
        match self.asking.completed(receipt) {
            Ok(None) => Seen::Waits,
            Ok(Some(done)) => seen(done),
            Err(error) if is_passing(&error) => Seen::Away,
            Err(error) => Seen::Failed(error.to_string()),
        }
    }

    /// Returns when there is something new to see, or after a while.
    pub(crate) fn wait(&self, receipt: &Receipt<Thumbnail>, patience: Duration) {
        // Whatever came of it is looked at afterwards.
        let _ = self.asking.wait(receipt, patience);
    }
}

fn seen(done: Completed<Thumbnail>) -> Seen {
    match done.into_output() {
        Ok(picture) => Seen::Done(picture),
        Err(failure) => Seen::Failed(failure.message().into()),
    }
}

fn is_passing(error: &Error) -> bool {
    error.is_unreachable() || error.is_unknown() || error.is_full() || error.is_shut_down()
}
