use std::ops::ControlFlow;
use std::sync::Arc;

use super::Harness;
use super::owner::{Owner, Rows, fence_of, put, rows};
use super::random::Random;
use crate::{Batch, Fence, Key, OpeningTag, QueueStore, Space, StoreId, Write};

const OPERATIONS: u64 = if cfg!(miri) { 60 } else { 3_000 };

/// Random operations on the store and on a map, compared after each one.
pub(super) fn random_histories_match_the_model(place: &dyn Harness) {
    let store = place.open();
    let mut history = History {
        owner: Owner::found(&*store),
        model: Rows::new(),
        random: Random::new(),
        place,
        store: Some(store),
    };
    for operation in 0..OPERATIONS {
        history.step();
        if operation % 100 == 0 {
            history.compare();
        }
    }
    history.compare();
}

struct History<'a> {
    /// First, so that a panic while the store is dropped prints the seed as well.
    random: Random,
    place: &'a dyn Harness,
    store: Option<Arc<dyn QueueStore>>,
    owner: Owner,
    model: Rows,
}

impl History<'_> {
    fn store(&self) -> &dyn QueueStore {
        self.store.as_deref().expect("open between two steps")
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..20 => self.commit(),
            20..24 => self.refused(),
            24..26 => self.takeover(),
            26..60 => self.get(),
            60..96 => self.scan(),
            96..98 => self.store().reopen().unwrap(),
            98 => self.open_again(),
            _ => self.verify(),
        }
    }

    fn commit(&mut self) {
        let mut batch = Batch::new(self.owner.next());
        self.fill(&mut batch);
        self.take(&batch);
    }

    fn takeover(&mut self) {
        let held = self.owner.fence().opening;
        let fence = Fence {
            opening: OpeningTag(self.random.next()),
            ..self.owner.next()
        };
        let mut batch = Batch::opening(fence, Some(held));
        self.fill(&mut batch);
        self.take(&batch);
    }

    fn take(&mut self, batch: &Batch) {
        let store = self.store.as_deref().expect("open between two steps");
        self.owner.try_commit(store, batch).unwrap();
        for write in batch.writes() {
            match write {
                Write::Put { key, row, .. } => {
                    self.model.insert(*key, row.clone());
                }
                Write::Delete { key } => {
                    self.model.remove(key);
                }
            }
        }
    }

    /// A batch that is wrong in one way.
    fn refused(&mut self) {
        let right = self.owner.next();
        let fence = self.random.pick(&[
            self.owner.fence(),
            Fence {
                commit: right.commit + 1,
                ..right
            },
            Fence {
                opening: OpeningTag(!right.opening.0),
                ..right
            },
            Fence {
                store: StoreId(!right.store.0),
                ..right
            },
        ]);
        let mut batch = Batch::new(fence);
        self.fill(&mut batch);
        let error = self.store().commit(&batch).unwrap_err();
        assert!(error.is_replaced() || error.is_out_of_turn(), "{error}");
        assert_eq!(fence_of(self.store()), Some(self.owner.fence()));
    }

    fn fill(&mut self, batch: &mut Batch) {
        for _ in 0..self.random.below(8) {
            let key = self.key();
            match self.random.below(8) {
                0..4 => {
                    let length = self.random.pick(&[0, 1, 30, 600, 5_000]);
                    put(batch, key, &"x".repeat(length));
                }
                4..7 => batch.delete(key),
                // A run, as retention deletes them.
                _ => {
                    let end = key.number.saturating_add(self.random.below(10));
                    (key.number..end).for_each(|number| batch.delete(Key::new(key.space, number)));
                }
            }
        }
    }

    /// Few enough keys that operations meet, among them the extremes.
    fn key(&mut self) -> Key {
        let space = self
            .random
            .pick(&[Space::Manager, Space::Live, Space::Done, Space::Damaged]);
        let number = match self.random.below(10) {
            0 => u64::MAX - self.random.below(2),
            1 => 1 << self.random.below(64),
            _ => self.random.below(30),
        };
        Key::new(space, number)
    }

    fn get(&mut self) {
        let key = self.key();
        let row = self.store().get(&key).unwrap();
        assert!(row.as_ref() == self.model.get(&key), "row {key} differs");
    }

    fn scan(&mut self) {
        let (from, to) = (self.key(), self.key());
        let most = usize::try_from(self.random.pick(&[1, 2, 5, 1_000])).unwrap();
        let mut seen = Vec::new();
        self.store()
            .scan(&from, &to, &mut |key, row| {
                seen.push((key, row.to_vec()));
                if seen.len() == most {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
        let within = |key: &Key| from <= *key && *key <= to;
        let expected = self.model.iter().filter(|(key, _)| within(key)).take(most);
        assert!(
            seen.iter().map(|(key, row)| (key, row)).eq(expected),
            "from {from} to {to}, of these the first {most}: {:?}",
            seen.iter().map(|(key, _)| key).collect::<Vec<_>>()
        );
    }

    fn open_again(&mut self) {
        if self.random.below(2) == 0 {
            self.store().close().unwrap();
        }
        // Dropped first: the place must be free before it is opened.
        drop(self.store.take());
        self.store = Some(self.place.open());
    }

    fn verify(&mut self) {
        let mut findings = Vec::new();
        self.store()
            .verify(&mut |finding| findings.push(finding))
            .unwrap();
        assert_eq!(findings, []);
    }

    fn compare(&self) {
        let rows = rows(self.store());
        let mut keys = rows.keys().chain(self.model.keys());
        let differs = keys.find(|key| rows.get(key) != self.model.get(key));
        assert_eq!(differs, None, "the first row that differs");
        assert_eq!(fence_of(self.store()), Some(self.owner.fence()));
    }
}
