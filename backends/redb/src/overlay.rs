use std::io::{self, ErrorKind};

use redb::StorageBackend;

/// Changes of a file that were not made yet, in their order.
#[derive(Debug, Default)]
pub(crate) struct Overlay(Vec<Change>);

/// One change of a file.
#[derive(Debug)]
pub(crate) enum Change {
    Length(u64),
    Bytes { from: u64, bytes: Vec<u8> },
    Sync,
}

impl Overlay {
    pub(crate) fn push(&mut self, change: Change) {
        self.0.push(change);
    }

    /// The length that the file would have.
    pub(crate) fn len(&self, file: &(impl StorageBackend + ?Sized)) -> io::Result<u64> {
        let length = file.len()?;
        Ok(self.0.iter().fold(length, |length, change| match change {
            Change::Length(length) => *length,
            Change::Bytes { from, bytes } => length.max(end(*from, bytes)),
            Change::Sync => length,
        }))
    }

    /// Reads what the file would hold.
    pub(crate) fn read(
        &self,
        file: &(impl StorageBackend + ?Sized),
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let (length, wanted) = (self.len(file)?, end(offset, out));
        if length < wanted {
            let cause = format!("the file ends at byte {length}, and is read up to byte {wanted}");
            return Err(io::Error::new(ErrorKind::UnexpectedEof, cause));
        }
        out.fill(0);
        file.read(offset, part(out, offset, 0, file.len()?))?;
        for change in &self.0 {
            match change {
                Change::Length(length) => part(out, offset, *length, u64::MAX).fill(0),
                Change::Bytes { from, bytes } => {
                    let skipped = usize::try_from(offset.saturating_sub(*from));
                    let laid = bytes.iter().skip(skipped.unwrap_or(usize::MAX));
                    let under = part(out, offset, *from, end(*from, bytes));
                    under
                        .iter_mut()
                        .zip(laid)
                        .for_each(|(to, byte)| *to = *byte);
                }
                Change::Sync => (),
            }
        }
        Ok(())
    }

    /// Makes the changes.
    pub(crate) fn apply(&self, file: &(impl StorageBackend + ?Sized)) -> io::Result<()> {
        self.0.iter().try_for_each(|change| match change {
            Change::Length(length) => file.set_len(*length),
            Change::Bytes { from, bytes } => file.write(*from, bytes),
            Change::Sync => file.sync_data(),
        })
    }
}

fn end(from: u64, bytes: &[u8]) -> u64 {
    from.saturating_add(bytes.len() as u64)
}

/// The part of `out`, which stands for the file from `offset` on, that lies between two places of
/// the file.
fn part(out: &mut [u8], offset: u64, from: u64, to: u64) -> &mut [u8] {
    let index = |place: u64| {
        let index = usize::try_from(place.saturating_sub(offset));
        index.unwrap_or(usize::MAX).min(out.len())
    };
    let (from, to) = (index(from), index(to));
    out.get_mut(from..to.max(from)).unwrap_or_default()
}
