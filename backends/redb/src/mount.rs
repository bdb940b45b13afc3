use std::fs::File;

/// The kind of the file system that a file is on, as far as a store cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "only Linux tells")
)]
pub(crate) enum Mount {
    /// One that lives in RAM, and has one view of each file.
    Memory,
    /// One of this machine's disks, which has one view of each file.
    Disk,
    /// Any other: FUSE, a network. What an open file shows there may be a copy of what it was.
    Other,
}

impl Mount {
    #[cfg(target_os = "linux")]
    pub(crate) fn of(file: &File) -> Self {
        const TMPFS: u64 = 0x0102_1994;
        const RAMFS: u64 = 0x8584_58f6;
        const EXT: u64 = 0xef53;
        const XFS: u64 = 0x5846_5342;
        const BTRFS: u64 = 0x9123_683e;
        const F2FS: u64 = 0xf2f5_2010;
        const ZFS: u64 = 0x2fc1_2fc1;
        const BCACHEFS: u64 = 0xca45_1a4e;
        const OVERLAY: u64 = 0x794c_7630;
        let Ok(found) = rustix::fs::fstatfs(file) else {
            return Self::Other;
        };
        // Some of these do not fit where the type is a signed one of 32 bits.
        #[allow(
            clippy::cast_sign_loss,
            clippy::cast_lossless,
            reason = "it differs by target"
        )]
        match found.f_type as u64 & 0xffff_ffff {
            TMPFS | RAMFS => Self::Memory,
            EXT | XFS | BTRFS | F2FS | ZFS | BCACHEFS | OVERLAY => Self::Disk,
            _ => Self::Other,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_: &File) -> Self {
        Self::Other
    }

    /// A power cut takes everything.
    pub(crate) fn is_memory(self) -> bool {
        self == Self::Memory
    }

    /// What somebody else wrote to the file by another way is there to be read at once.
    pub(crate) fn shows_other_writers(self) -> bool {
        matches!(self, Self::Memory | Self::Disk)
    }
}
