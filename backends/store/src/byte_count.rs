use std::fmt;

/// What `Debug` shows of an application's bytes: how many there are. They may be about people, and a log
/// is no place for them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ByteCount(pub usize);

impl ByteCount {
    /// The count of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.len())
    }
}

impl fmt::Debug for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}
