//! The suite on the memory store, plain and wrapped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faulty;
mod handles;

mod plain {
    use jobkeep_memory::MemoryStore;

    jobkeep_store::conformance_suite!({
        let store = MemoryStore::new();
        move || store.clone()
    });
}

mod wrapped {
    use jobkeep_memory::MemoryStore;
    use jobkeep_store::conformance::FaultyStore;

    jobkeep_store::conformance_suite!({
        let store = MemoryStore::new();
        move || FaultyStore::new(store.clone())
    });
}

mod chosen_at_run_time {
    use std::sync::Arc;

    use jobkeep_memory::MemoryStore;
    use jobkeep_store::QueueStore;

    jobkeep_store::conformance_suite!({
        let store = MemoryStore::new();
        move || -> Arc<Box<dyn QueueStore>> { Arc::new(Box::new(store.clone())) }
    });
}
