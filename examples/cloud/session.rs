//! What a visitor has: receipts, in a cookie that this program has signed. So nobody can ask for jobs that
//! are not theirs, and nothing about visitors is kept here.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use axum_extra::extract::cookie::{Cookie, Key, SameSite, SignedCookieJar};
use jobkeep::Receipt;

use crate::thumbnails::Thumbnail;

const COOKIE: &str = "photos";

/// With more of them the cookie would become longer than browsers keep.
const MOST: usize = 8;

/// The receipts of each photo, the newest photo first. Those of a photo are in the order of the widths.
#[derive(Default)]
pub(crate) struct Session(Vec<Vec<Receipt<Thumbnail>>>);

impl Session {
    pub(crate) fn of(jar: &SignedCookieJar) -> Self {
        let cookie = jar.get(COOKIE);
        let text = cookie.as_ref().map_or("", |cookie| cookie.value());
        let photos = text.split('~').filter(|photo| !photo.is_empty());
        // This program wrote it. Should another version have, its receipts count that can be read.
        let receipts = |photo: &str| {
            let receipts = photo
                .split('.')
                .filter_map(|text| text.parse::<Receipt>().ok());
            receipts.map(Receipt::typed).collect()
        };
        Self(photos.map(receipts).collect())
    }

    pub(crate) fn photos(&self) -> &[Vec<Receipt<Thumbnail>>] {
        &self.0
    }

    /// Adds a photo. The oldest is forgotten where there are too many.
    pub(crate) fn add(&mut self, receipts: Vec<Receipt<Thumbnail>>) {
        self.0.insert(0, receipts);
        self.0.truncate(MOST);
    }

    pub(crate) fn kept(&self, jar: SignedCookieJar) -> SignedCookieJar {
        let photo = |receipts: &Vec<Receipt<Thumbnail>>| {
            let texts: Vec<_> = receipts.iter().map(ToString::to_string).collect();
            texts.join(".")
        };
        let text: Vec<_> = self.0.iter().map(photo).collect();
        // Until the browser ends. In front of a page that is reached by https it would be `secure` too.
        let cookie = Cookie::build((COOKIE, text.join("~")))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax);
        jar.add(cookie)
    }

    /// The visitor's receipt of this text.
    pub(crate) fn receipt(&self, text: &str) -> Option<&Receipt<Thumbnail>> {
        let mut all = self.0.iter().flatten();
        all.find(|receipt| receipt.to_string() == text)
    }
}

/// The secret in this file, which is made where there is none.
pub(crate) fn key(file: &Path) -> Result<Key, String> {
    let failed = |what: &str, cause: io::Error| format!("{what} {}: {cause}", file.display());
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let key = Key::generate();
            write(file, key.master()).map_err(|cause| failed("write the key", cause))?;
            return Ok(key);
        }
        Err(cause) => return Err(failed("read the key", cause)),
    };
    Key::try_from(&*bytes).map_err(|cause| {
        let file = file.display();
        format!(
            "{file} is no key: {cause}; without the file another is made, and visitors begin anew"
        )
    })
}

/// For nobody else's eyes.
fn write(file: &Path, key: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(key)
}
