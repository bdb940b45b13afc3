use std::path::Path;
use std::sync::Arc;

use jobkeep_store::{Encoded, Fence, Key, Space, StoreError, open_row};
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition, TableError,
    TableHandle,
};

use crate::RedbOptions;
use crate::error::Act;
use crate::held::HeldFile;
use crate::owned::{Displaced, OwnedFile};

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
        let file = Arc::new(OwnedFile::open(path, &options.around, act)?);
        let opened = Self::on(&file, options, act).and_then(|engine| {
            let released = engine.file.release();
            released.map_err(|why| act.displaced(why))?;
            Ok(engine)
        });
        opened.map_err(|cause| match file.look() {
            // It is torn because somebody works on it, whom the lock does not reach.
            Err(Displaced::Overwritten) => act.in_use(),
            _ => cause,
        })
    }

    /// Opens the file with all changes held back, the engine's own repair included.
    pub(crate) fn on(
        file: &Arc<OwnedFile>,
        options: &RedbOptions,
        act: Act<'_>,
    ) -> Result<Self, StoreError> {
        let held = HeldFile::new(Arc::clone(file));
        act.caught(|| {
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
        })
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

    /// Lets go of the file.
    pub(crate) fn close(self, act: Act<'_>) -> Result<(), StoreError> {
        // What redb writes at its end must not reach a file that somebody else has written.
        let ours = self.file.owned().look();
        let closed = act.caught(|| self.database.close().map_err(|cause| act.engine(cause)));
        match ours {
            Err(Displaced::Overwritten) => Err(act.displaced(Displaced::Overwritten)),
            _ => closed,
        }
    }

    /// Ends, and leaves the file open and locked for the next engine.
    pub(crate) fn hand_on(self, act: Act<'_>) -> Arc<OwnedFile> {
        let file = self.file.hand_on();
        // A failed engine fails to close in order, which is why there is to be another one.
        let _ = self.close(act);
        file
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
