//! What reaches the file of a store, and what a disk may have of it when the power goes.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use jobkeep::{RedbOptions, RedbStore};
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::dice::Dice;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

type Sector = [u8; SECTOR];

/// One change of a file.
pub(crate) enum Event {
    Length(u64),
    Bytes { from: u64, bytes: Vec<u8> },
    Sync,
}

/// What the file of a store was when it was opened, and what has happened to it since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<Record>>);

#[derive(Default)]
pub(crate) struct Record {
    pub(crate) base: Option<Vec<u8>>,
    pub(crate) events: Vec<Event>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} events", self.events.len())
    }
}

impl Journal {
    /// Opens a store whose file is recorded here.
    pub(crate) fn options(&self) -> RedbOptions {
        let journal = self.clone();
        RedbStore::options().around(move |file| {
            let mut record = journal.0.lock().unwrap();
            if record.base.is_none() {
                record.base = Some(content(&file).unwrap());
            }
            drop(record);
            let journal = journal.clone();
            Box::new(Recorded { file, journal })
        })
    }

    /// So much has happened so far.
    pub(crate) fn now(&self) -> usize {
        self.0.lock().unwrap().events.len()
    }

    pub(crate) fn take(&self) -> Record {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn content(file: &FileBackend) -> io::Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(file.len()?).unwrap()];
    file.read(0, &mut content)?;
    Ok(content)
}

/// A file whose changes are noted before they are made.
#[derive(Debug)]
struct Recorded {
    file: FileBackend,
    journal: Journal,
}

impl Recorded {
    fn note(&self, event: Event) {
        self.journal.0.lock().unwrap().events.push(event);
    }
}

impl StorageBackend for Recorded {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(Event::Length(len));
        self.file.set_len(len)
    }

    /// Only remembered: this disk is in memory, and a real sync would make nothing truer.
    fn sync_data(&self) -> io::Result<()> {
        self.note(Event::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let bytes = data.to_vec();
        self.note(Event::Bytes {
            from: offset,
            bytes,
        });
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

/// A disk at one moment: what is durable, and what it may have beside it.
pub(crate) struct Disk {
    durable: Vec<u8>,
    /// As the process sees it.
    current: Vec<u8>,
    /// All that has stood in each sector since the last sync, in its order.
    unsynced: BTreeMap<usize, Vec<Sector>>,
    /// All lengths since the last sync.
    lengths: Vec<usize>,
}

impl Disk {
    pub(crate) fn new(base: Vec<u8>) -> Self {
        Self {
            current: base.clone(),
            durable: base,
            unsynced: BTreeMap::new(),
            lengths: Vec::new(),
        }
    }

    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Length(length) => self.set_length(usize::try_from(*length).unwrap()),
            Event::Bytes { from, bytes } => {
                let from = usize::try_from(*from).unwrap();
                let end = from + bytes.len();
                if self.current.len() < end {
                    self.set_length(end);
                }
                self.current[from..end].copy_from_slice(bytes);
                self.note(from, end);
            }
            Event::Sync => self.sync(),
        }
    }

    pub(crate) fn is_resizing(&self) -> bool {
        !self.lengths.is_empty()
    }

    fn set_length(&mut self, length: usize) {
        let before = self.current.len();
        self.current.resize(length, 0);
        self.lengths.push(length);
        if length < before {
            // Should the file grow again, these are zeros, or what they were.
            self.note(length, before);
        }
    }

    /// Something has happened to these bytes.
    fn note(&mut self, from: usize, end: usize) {
        for sector in from / SECTOR..end.div_ceil(SECTOR) {
            let mut now = [0; SECTOR];
            let start = (sector * SECTOR).min(self.current.len());
            let there = &self.current[start..(start + SECTOR).min(self.current.len())];
            now[..there.len()].copy_from_slice(there);
            self.unsynced.entry(sector).or_default().push(now);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        for &sector in self.unsynced.keys() {
            let start = (sector * SECTOR).min(self.current.len());
            let end = (start + SECTOR).min(self.current.len());
            self.durable[start..end].copy_from_slice(&self.current[start..end]);
        }
        debug_assert!(self.durable == self.current);
        self.unsynced.clear();
        self.lengths.clear();
    }

    /// What the disk has when the power goes now: of each sector and of the length, what was durable
    /// or anything that came after.
    pub(crate) fn cut(&self, dice: &mut Dice) -> Vec<u8> {
        let survives = Survival::any(dice, self.unsynced.len());
        let longest = self.lengths.iter().copied().max().unwrap_or_default();
        let mut image = self.durable.clone();
        image.resize(longest.max(image.len()).next_multiple_of(SECTOR), 0);
        for (place, (&sector, versions)) in self.unsynced.iter().enumerate() {
            if survives.sector(dice, sector, place) {
                let newest = versions.len() - 1;
                let version = if dice.one_in(4) {
                    dice.below(versions.len())
                } else {
                    newest
                };
                let start = sector * SECTOR;
                image[start..start + SECTOR].copy_from_slice(&versions[version]);
            }
        }
        let length = match (self.lengths.last(), &survives) {
            (None, _) | (_, Survival::Nothing) => self.durable.len(),
            (Some(&last), Survival::Everything) => last,
            _ => match dice.below(self.lengths.len() + 1) {
                0 => self.durable.len(),
                nth => self.lengths[nth - 1],
            },
        };
        image.truncate(length);
        image
    }
}

/// Which of the unsynced sectors survive.
enum Survival {
    Nothing,
    Everything,
    /// So many of a hundred.
    Some(usize),
    Only(usize),
    AllBut(usize),
    /// The first sector has the header, which says where everything else is.
    HeaderAnd(usize),
    NoHeaderBut(usize),
}

impl Survival {
    fn any(dice: &mut Dice, sectors: usize) -> Self {
        let percent = [0, 5, 50, 95, 100][dice.below(5)];
        let sector = dice.below(sectors.max(1));
        match dice.below(10) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2..5 => Self::Some(5 + dice.below(91)),
            5 => Self::Only(sector),
            6 => Self::AllBut(sector),
            7 | 8 => Self::HeaderAnd(percent),
            _ => Self::NoHeaderBut(percent),
        }
    }

    fn sector(&self, dice: &mut Dice, sector: usize, place: usize) -> bool {
        match *self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some(percent) => dice.below(100) < percent,
            Self::Only(only) => place == only,
            Self::AllBut(but) => place != but,
            Self::HeaderAnd(percent) => sector == 0 || dice.below(100) < percent,
            Self::NoHeaderBut(percent) => sector != 0 && dice.below(100) < percent,
        }
    }
}
