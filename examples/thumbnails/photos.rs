//! Which files are photos.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The photos of a folder, by name. Its folders are not entered, and hidden files are left out.
pub(crate) fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let read = |cause| format!("read the folder {}: {cause}", folder.display());
    // The whole path: a job may run in a later process that was started elsewhere.
    let folder = fs::canonicalize(folder).map_err(read)?;
    let mut photos = Vec::new();
    for entry in fs::read_dir(&folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if is_photo(&path) {
            if path.to_str().is_none() {
                let path = path.display();
                return Err(format!("the name of {path} is no Unicode text: rename it").into());
            }
            photos.push(path);
        }
    }
    if photos.is_empty() {
        let folder = folder.display();
        return Err(format!("{folder} has no .jpg, .jpeg or .png: name a folder that has").into());
    }
    photos.sort();
    Ok(photos)
}

fn is_photo(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let named = path.extension().is_some_and(|extension| {
        ["jpg", "jpeg", "png"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    });
    named && !hidden && path.is_file()
}

/// The picture is there, and not older than its photo.
pub(crate) fn is_newer(picture: &Path, photo: &Path) -> bool {
    let changed = |path| fs::metadata(path).and_then(|data| data.modified());
    match (changed(picture), changed(photo)) {
        (Ok(picture), Ok(photo)) => picture >= photo,
        _ => false,
    }
}
