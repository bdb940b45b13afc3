//! What visitors upload: a photo, within limits.

use std::fmt;
use std::io::Cursor;

use axum::extract::Multipart;
use axum::http::StatusCode;
use image::ImageReader;

/// The largest photo.
pub(crate) const BYTES: usize = 8 << 20;

/// So much of what is too large is still read, because a browser shows no answer before it has sent its
/// form; whoever sends more has the connection closed.
pub(crate) const READ: usize = 64 << 20;

/// A small file may say that it is a picture of a million by a million.
const PIXELS: u64 = 50_000_000;

/// Why an upload becomes no thumbnails.
#[derive(Debug)]
pub(crate) enum Refused {
    Missing,
    TooLarge,
    NoPicture,
    Broken,
    TooSlow,
}

impl Refused {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Broken => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoPicture => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("Choose a photo first."),
            Self::TooLarge => write!(
                f,
                "This file is too large: a photo has at most {} MiB and {} megapixels.",
                BYTES >> 20,
                PIXELS / 1_000_000
            ),
            Self::NoPicture => {
                f.write_str("This file is no picture that we can read: send a JPEG or a PNG.")
            }
            Self::Broken => f.write_str("The upload broke off: try again."),
            Self::TooSlow => f.write_str("The upload took too long: try a smaller photo."),
        }
    }
}

/// Reads the form's file, and looks at what it says that it is.
pub(crate) async fn receive(mut form: Multipart) -> Result<Vec<u8>, Refused> {
    while let Some(mut field) = form.next_field().await.map_err(|_| Refused::Broken)? {
        if field.name() != Some("photo") {
            continue;
        }
        let mut photo = Vec::new();
        let mut length = 0;
        while let Some(part) = field.chunk().await.map_err(|_| Refused::Broken)? {
            length += part.len();
            if length <= BYTES {
                photo.extend_from_slice(&part);
            }
        }
        return match length {
            0 => Err(Refused::Missing),
            1..=BYTES => checked(photo),
            _ => Err(Refused::TooLarge),
        };
    }
    Err(Refused::Missing)
}

fn checked(photo: Vec<u8>) -> Result<Vec<u8>, Refused> {
    let reader = ImageReader::new(Cursor::new(&photo)).with_guessed_format();
    let size = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    let (width, height) = size.ok_or(Refused::NoPicture)?;
    if u64::from(width) * u64::from(height) > PIXELS {
        return Err(Refused::TooLarge);
    }
    Ok(photo)
}
