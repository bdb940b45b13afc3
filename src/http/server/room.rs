//! Memory that requests and answers may take together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::problem::Code;
use super::answer::Refusal;

/// It is counted in pieces of this size.
const PIECE: usize = 1 << 10;

/// What a body takes while it is decoded, as against its own size: JSON of many small parts becomes values of
/// 32 bytes each, in vectors that grow by doubling, and is encoded anew.
const DECODED: usize = 16;

/// All of it, in three parts that do not take each other's place: who asks is not kept out by who creates.
pub(super) struct Memory {
    /// Of bodies, from their first byte until their jobs are accepted: a quarter.
    pub(super) bodies: Room,
    /// Of answers that are being sent: a quarter.
    pub(super) answers: Room,
    /// For large bodies as they are decoded: half.
    decoding: Room,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bodies: Room::new(bytes / 4),
            answers: Room::new(bytes / 4),
            decoding: Room::new(bytes / 2),
        }
    }

    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.bodies.held() + self.answers.held() + self.decoding.held()
    }

    /// Waits for what a body of that size takes while it is decoded.
    pub(super) async fn decoding(&self, bytes: usize) -> Option<Taken> {
        self.decoding.wait(bytes.saturating_mul(DECODED)).await
    }
}

/// So much may be held at once.
pub(super) struct Room {
    all: u32,
    free: Arc<Semaphore>,
}

/// Room that is taken until this is dropped.
pub(super) type Taken = OwnedSemaphorePermit;

impl Room {
    fn new(bytes: usize) -> Self {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let all = (bytes / PIECE).clamp(1, most);
        Self {
            all: u32::try_from(all).unwrap_or(u32::MAX),
            free: Arc::new(Semaphore::new(all)),
        }
    }

    fn held(&self) -> usize {
        (self.all as usize).saturating_sub(self.free.available_permits()) * PIECE
    }

    /// What is larger than all of it has it alone.
    fn pieces(&self, bytes: usize) -> u32 {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX);
        pieces.min(self.all)
    }

    /// Takes as much now, or nothing.
    pub(super) fn take(&self, bytes: usize) -> Option<Taken> {
        let free = Arc::clone(&self.free);
        free.try_acquire_many_owned(self.pieces(bytes)).ok()
    }

    /// Takes more for what has grown to so many bytes, or nothing.
    pub(super) fn grow(&self, taken: &mut Taken, bytes: usize) -> Option<()> {
        let more = self.pieces(bytes) as usize;
        let more = more.saturating_sub(taken.num_permits());
        if more > 0 {
            taken.merge(self.take(more * PIECE)?);
        }
        Some(())
    }

    async fn wait(&self, bytes: usize) -> Option<Taken> {
        let free = Arc::clone(&self.free);
        free.acquire_many_owned(self.pieces(bytes)).await.ok()
    }
}

/// There is no room now.
pub(super) fn crowded() -> Refusal {
    let told = "as many requests are being read, or answers sent, as fit in memory";
    Refusal::new(Code::Full, told).retry_after(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_and_given_back() {
        let room = Room::new(10 * PIECE);
        let mut first = room.take(1).unwrap();
        let second = room.take(8 * PIECE).unwrap();
        assert!(room.grow(&mut first, 2 * PIECE).is_some());
        assert!(room.take(1).is_none());
        assert!(room.grow(&mut first, 2 * PIECE + 1).is_none());
        drop(second);
        assert!(room.grow(&mut first, 10 * PIECE).is_some());
        // What is larger than all has it alone, and grows no further.
        assert!(room.grow(&mut first, 11 * PIECE).is_some());
        assert!(room.take(usize::MAX).is_none());
        drop(first);
        assert!(room.take(usize::MAX).is_some());
    }
}
