//! `export`, `import` and `backup`, and the same of volumes.

pub(super) mod export;
pub(super) mod import;
pub(super) mod verify;
pub(super) mod volume;
