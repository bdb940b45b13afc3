//! The job: one photo, made as wide as asked.

use std::fs::{self, File};
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult};
use jobkeep::{Context, Job, JobError, Policy, ResultExt, Run};
use serde::{Deserialize, Serialize};

/// What is stored: which photo, how wide.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Thumbnail {
    pub(crate) photo: PathBuf,
    pub(crate) width: u32,
}

/// What comes back: the size of the picture made.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Where pictures go: the same for all jobs, so no job carries it.
pub(crate) struct OutFolder(pub(crate) PathBuf);

impl Job for Thumbnail {
    const NAME: &'static str = "thumbnail";
    // Somebody waits before the screen: give up within seconds, not days.
    const POLICY: Policy = Policy::new()
        .queue("images")
        .attempts(3)
        .backoff(Duration::from_millis(200), Duration::from_secs(2));
    type Output = Size;
}

impl Run for Thumbnail {
    fn run(&mut self, ctx: &Context) -> Result<Size, JobError> {
        self.trace(ctx);
        let OutFolder(out) = ctx.resource()?;
        // A file that cannot be read now may be readable later: `?` means try again.
        let bytes = fs::read(&self.photo)?;
        // But trying again makes no picture of a file that is none.
        let photo = decode(&bytes).permanent()?;
        let picture = self.resize(&photo)?;
        let size = Size {
            width: picture.width(),
            height: picture.height(),
        };
        let bytes = encode(picture, &self.photo).permanent()?;
        let path = place(out, self.width, &self.photo);
        replace(&path, &bytes).map_err(|cause| {
            JobError::new(format!("write the picture {}: {cause}", path.display()))
        })?;
        Ok(size)
    }
}

/// Where the picture of a photo stands: `OUT/640/cat.png`.
pub(crate) fn place(out: &Path, width: u32, photo: &Path) -> PathBuf {
    let mut path = out.join(width.to_string());
    path.extend(photo.file_name());
    path
}

impl Thumbnail {
    /// One job for each photo and width, however often it is queued. Pictures are named like their
    /// photos, so two photos of one name in one OUT are a conflict, and are refused as such.
    pub(crate) fn key(&self) -> String {
        let name = self.photo.file_name().unwrap_or_default();
        format!("{}@{}", name.to_string_lossy(), self.width)
    }

    /// Exactly as wide as asked, also where the photo is smaller: whoever uses the pictures can rely
    /// on it.
    fn resize(&self, photo: &DynamicImage) -> Result<DynamicImage, JobError> {
        const HIGHEST: u64 = 16_384;
        let (width, height) = (photo.width(), photo.height());
        let scaled = u64::from(height) * u64::from(self.width) / u64::from(width.max(1));
        if scaled > HIGHEST {
            return Err(JobError::permanent(format!(
                "a photo of {width} x {height} gives a picture of {} x {scaled}, and {HIGHEST} is \
                 the highest",
                self.width
            )));
        }
        let height = u32::try_from(scaled.max(1)).permanent()?;
        Ok(photo.resize_exact(self.width, height, FilterType::Lanczos3))
    }

    /// For the tests: which attempts were begun, told on stderr.
    fn trace(&self, ctx: &Context) {
        if std::env::var_os("JOBKEEP_THUMBNAILS_TRACE").is_some() {
            let line = format!("run {} {} {}\n", ctx.id(), ctx.attempt(), self.key());
            // One write a line, so that a killed process leaves no half one.
            drop(io::stderr().lock().write_all(line.as_bytes()));
        }
    }
}

/// The photo, the right way up.
fn decode(bytes: &[u8]) -> ImageResult<DynamicImage> {
    let mut decoder = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()?
        .into_decoder()?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut photo = DynamicImage::from_decoder(decoder)?;
    photo.apply_orientation(orientation);
    Ok(photo)
}

/// In the format of the photo's name.
fn encode(picture: DynamicImage, photo: &Path) -> ImageResult<Vec<u8>> {
    let format = ImageFormat::from_path(photo)?;
    let picture = match format {
        ImageFormat::Jpeg => picture.into_rgb8().into(),
        _ => picture,
    };
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

/// Whoever looks sees the old file or the whole new one, never a part: a job may be killed anywhere,
/// and then runs again from the start.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    // Before the rename, or a power cut could leave the name with nothing behind it.
    file.sync_all()?;
    fs::rename(&part, path)
}
