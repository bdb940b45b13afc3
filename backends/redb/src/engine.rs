use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::Path;

use jobkeep_store::{Encoded, Fence, Key, Space, StoreError, open_row};
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition,
    TableError, TableHandle,
};

use crate::RedbOptions;
use crate::error::Act;
use crate::held::HeldFile;

/// The bytes that every redb file begins with.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

pub(crate) type Row = &'static [u8];

/// An open redb file that proved to be a store of jobkeep.
pub(crate) struct Engine {
    pub(crate) database: Database,
    pub(crate) file: HeldFile,
    pub(crate) cache_bytes: usize,
}

impl Engine {
    /// Opens an existing file. Unless all of this succeeds, the file is not changed.
    pub(crate) fn open(
        path: &Path,
        options: &RedbOptions,
        act: Act<'_>,
    ) -> Result<Self, StoreError> {
        let file = file(path, act)?;
        let itself = file.try_clone().map_err(|cause| act.io(cause))?;
        let file = FileBackend::new(file).map_err(|cause| act.engine(cause))?;
        let held = HeldFile::new(options.around.put(file), itself);
        let engine = act.caught(|| {
            let mut builder = Database::builder();
            builder.set_cache_size(options.cache_bytes);
            let database = builder.create_with_backend(held.clone());
            let engine = Self {
                database: database.map_err(|cause| act.engine(cause))?,
                file: held,
                cache_bytes: options.cache_bytes,
            };
            engine.inspect(act)?;
            Ok(engine)
        })?;
        engine.file.release().map_err(|cause| act.io(cause))?;
        Ok(engine)
    }

    /// Refuses the redb file of somebody else. One without a table is a store before its first commit.
    fn inspect(&self, act: Act<'_>) -> Result<(), StoreError> {
        let reading = self.read(act)?;
        let tables = reading.list_tables().map_err(|cause| act.engine(cause))?;
        let tables: Vec<_> = tables.map(|table| table.name().to_owned()).collect();
        let others = reading
            .list_multimap_tables()
            .map_err(|cause| act.engine(cause))?;
        let ours = |name: &String| Space::ALL.iter().any(|space| space.name() == name);
        let mut not_ours = tables.iter().filter(|name| !ours(name)).cloned();
        let mut others = others.map(|table| redb::MultimapTableHandle::name(&table).to_owned());
        if let Some(name) = not_ours.next().or_else(|| others.next()) {
            let cause = format!("it is the redb file of another program: it has a table {name:?}");
            return Err(act.foreign(cause));
        }
        for space in Space::ALL {
            rows(&reading, space, act)?;
        }
        if fence(&reading, act)?.is_none() && !tables.is_empty() {
            let cause = "it has tables and no fence, and every store of jobkeep has one";
            return Err(act.foreign(cause));
        }
        Ok(())
    }

    pub(crate) fn read(&self, act: Act<'_>) -> Result<ReadTransaction, StoreError> {
        self.database
            .begin_read()
            .map_err(|cause| act.engine(cause))
    }

    pub(crate) fn close(self) -> Result<(), DatabaseError> {
        self.database.close()
    }
}

/// The file, if it begins as a redb file does.
fn file(path: &Path, act: Act<'_>) -> Result<File, StoreError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let file = opened.map_err(|cause| match cause.kind() {
        ErrorKind::NotFound => act.damaged("the file is gone"),
        ErrorKind::IsADirectory => act.foreign("it is a directory"),
        _ => act.io(cause),
    })?;
    let kind = file.metadata().map_err(|cause| act.io(cause))?;
    if !kind.is_file() {
        return Err(act.foreign("it is no regular file"));
    }
    let mut head = Vec::new();
    (&file)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut head)
        .map_err(|cause| act.io(cause))?;
    if head == MAGIC {
        Ok(file)
    } else if head.is_empty() {
        Err(act.damaged(
            "the file is empty, which a store never is: put a copy of the store in its place, or \
             remove it if it never was one",
        ))
    } else if MAGIC.starts_with(&head) {
        let cause = format!("the file is cut off: it has {} bytes", head.len());
        Err(act.damaged(cause))
    } else {
        Err(act.foreign("it is no redb file"))
    }
}

pub(crate) fn table(space: Space) -> TableDefinition<'static, u64, Row> {
    TableDefinition::new(space.name())
}

/// The rows of a space; `None` where it never had one.
pub(crate) fn rows(
    reading: &ReadTransaction,
    space: Space,
    act: Act<'_>,
) -> Result<Option<ReadOnlyTable<u64, Row>>, StoreError> {
    match reading.open_table(table(space)) {
        Ok(rows) => Ok(Some(rows)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(cause) => Err(act.engine(cause)),
    }
}

pub(crate) fn get(
    reading: &ReadTransaction,
    key: Key,
    act: Act<'_>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(rows) = rows(reading, key.space, act)? else {
        return Ok(None);
    };
    let row = rows.get(key.number).map_err(|cause| act.engine(cause))?;
    Ok(row.map(|row| row.value().to_vec()))
}

pub(crate) fn fence(reading: &ReadTransaction, act: Act<'_>) -> Result<Option<Fence>, StoreError> {
    get(reading, Key::FENCE, act)?
        .map(|row| open_fence(&row, act))
        .transpose()
}

pub(crate) fn open_fence(row: &[u8], act: Act<'_>) -> Result<Fence, StoreError> {
    open_row(Key::FENCE, row).map_err(|reason| StoreError::row(Key::FENCE, reason).at(act.location))
}

pub(crate) fn seal_fence(fence: &Fence, act: Act<'_>) -> Result<Vec<u8>, StoreError> {
    let row = Encoded::new(fence);
    let row = row.map_err(|cause| StoreError::failed("encode the fence", act.location, cause))?;
    Ok(row.seal(Key::FENCE))
}
