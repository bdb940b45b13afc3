use std::io::Cursor;

use data_encoding::BASE64;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, ImageResult, Limits};
use jobkeep::{Context, Job, JobError, Run};
use serde::{Deserialize, Serialize};

/// A picture in the payload becomes a smaller one in the output, so that hosts share no disk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Thumbnail {
    /// JPEG or PNG, as base64.
    photo: String,
    /// In pixels. A photograph that is not wider stays as wide as it is.
    width: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Picture {
    /// As base64.
    jpeg: String,
    width: u32,
    height: u32,
}

/// The widest thumbnail.
const WIDEST: u32 = 2_048;

/// A small file may say that it is a picture of a million by a million.
const DECODED_BYTES: u64 = 256 << 20;

const QUALITY: u8 = 85;

impl Job for Thumbnail {
    const NAME: &'static str = "thumbnail";
    type Output = Picture;
}

impl Run for Thumbnail {
    fn run(&mut self, _: &Context) -> Result<Picture, JobError> {
        // Trying again will not make it a picture.
        let never = |why: String| JobError::permanent(why);
        if !(1..=WIDEST).contains(&self.width) {
            return Err(never(format!("width: it is 1 to {WIDEST} pixels")));
        }
        let bytes = BASE64.decode(self.photo.as_bytes());
        let bytes = bytes.map_err(|cause| never(format!("photo: it is no base64: {cause}")))?;
        let photo = decode(&bytes)
            .map_err(|cause| never(format!("photo: it is no JPEG or PNG picture: {cause}")))?;
        let (width, height) = (photo.width(), photo.height());
        let small = if width <= self.width {
            photo
        } else {
            let scaled = u64::from(height) * u64::from(self.width) / u64::from(width);
            let height = u32::try_from(scaled).unwrap_or(1).max(1);
            photo.resize_exact(self.width, height, FilterType::Lanczos3)
        };
        let mut jpeg = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
        let written = small.to_rgb8().write_with_encoder(encoder);
        written.map_err(|cause| never(format!("photo: its thumbnail is no JPEG: {cause}")))?;
        // The finished job need not keep it.
        self.photo = String::new();
        Ok(Picture {
            jpeg: BASE64.encode(&jpeg),
            width: small.width(),
            height: small.height(),
        })
    }
}

/// The photo, the right way up.
fn decode(bytes: &[u8]) -> ImageResult<DynamicImage> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED_BYTES);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut photo = DynamicImage::from_decoder(decoder)?;
    photo.apply_orientation(orientation);
    Ok(photo)
}
