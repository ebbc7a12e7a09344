//! `export`, `import` and `backup`.

pub(super) mod export;
pub(super) mod import;
pub(super) mod verify;
