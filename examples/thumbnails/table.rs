//! What became of each picture, for people.

use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use crate::thumbnail::{Size, place};

/// One picture.
pub(crate) struct Row {
    pub(crate) photo: PathBuf,
    pub(crate) width: u32,
    pub(crate) took: Option<Duration>,
    pub(crate) attempts: u32,
    pub(crate) interruptions: u32,
    pub(crate) end: End,
}

pub(crate) enum End {
    Made(Size),
    DoneBefore(Size),
    Failed(String),
}

impl Row {
    pub(crate) fn failed(photo: PathBuf, width: u32, reason: String) -> Self {
        Self {
            photo,
            width,
            took: None,
            attempts: 0,
            interruptions: 0,
            end: End::Failed(reason),
        }
    }
}

pub(crate) fn table(rows: &[Row], out: &Path) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "photo",
        "size",
        "ms",
        "attempts",
        "state",
        "picture, or reason",
    ]);
    for number in [2, 3] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut above = None;
    for row in rows {
        // A photo has several rows in a row; its name stands once.
        let name = row.photo.file_name().unwrap_or_default().to_string_lossy();
        let shown = if above == Some(&row.photo) {
            ""
        } else {
            &*name
        };
        above = Some(&row.photo);
        let picture = || place(out, row.width, &row.photo).display().to_string();
        let (width, height, state, result) = match &row.end {
            End::Made(size) => (size.width, Some(size.height), "made", picture()),
            End::DoneBefore(size) => (size.width, Some(size.height), "done before", picture()),
            End::Failed(reason) => (row.width, None, "failed", reason.clone()),
        };
        table.add_row([
            shown.to_owned(),
            height.map_or_else(|| width.to_string(), |height| format!("{width} x {height}")),
            row.took
                .map_or_else(String::new, |took| took.as_millis().to_string()),
            attempts(row),
            state.to_owned(),
            result,
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

fn attempts(row: &Row) -> String {
    match row.interruptions {
        0 => row.attempts.to_string(),
        times => format!("{} (+{times} interrupted)", row.attempts),
    }
}

pub(crate) fn summary(rows: &[Row]) -> String {
    let count = |is: fn(&End) -> bool| rows.iter().filter(|row| is(&row.end)).count();
    let made = count(|end| matches!(end, End::Made(_)));
    let before = count(|end| matches!(end, End::DoneBefore(_)));
    let failed = count(|end| matches!(end, End::Failed(_)));
    let all = rows.len();
    if before == all {
        return format!("All {all} pictures were done before: nothing was left to do.");
    }
    let parts: Vec<_> = [(made, "made"), (before, "done before"), (failed, "failed")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    format!("{all} pictures: {}.", parts.join(", "))
}
