//! What `instance.refresh` and `volume.refresh` have in common. The new root is made beside the old one, as a snapshot that
//! is nobody's; the last step puts it into its place. A daemon that dies between that and the end leaves a copy with the new
//! root and its old snapshots, which can be refreshed again.

use crate::step::Step;
use lxhost_model::name::SnapshotName;
use lxhost_model::{ObjectId, Pool, Timestamp};
use std::sync::Arc;

/// Steps that put the root `made`, which is whole, into the place of that of `copy`.
pub(crate) fn exchange(pool: &Pool, copy: ObjectId, made: ObjectId) -> [Step; 3] {
    [
        Step::AdoptSnapshot { pool: pool.clone(), snapshot: made },
        Step::StageRestore { pool: pool.clone(), instance: copy, snapshot: made },
        Step::Restore { pool: pool.clone(), instance: copy },
    ]
}

/// Steps that remove snapshots which nobody needs any more.
pub(crate) fn remove(pool: &Pool, snapshots: &[ObjectId]) -> Vec<Step> {
    snapshots.iter().map(|snapshot| Step::RemoveSnapshot { pool: pool.clone(), snapshot: *snapshot }).collect()
}

/// What tells a snapshot from another: a name may have been given twice.
type Mark<'a> = (&'a SnapshotName, Timestamp);

/// Which of the snapshots of an original its copy has not, and which of the copy's the original has no more.
pub(crate) fn compare<'a, T>(
    original: &[&'a Arc<T>],
    copy: &[&'a Arc<T>],
    mark: impl Fn(&T) -> Mark<'_>,
) -> (Vec<&'a Arc<T>>, Vec<&'a Arc<T>>) {
    let without = |some: &[&'a Arc<T>], others: &[&'a Arc<T>]| {
        let missing = some.iter().filter(|one| !others.iter().any(|other| mark(one) == mark(other)));
        missing.copied().collect()
    };
    (without(original, copy), without(copy, original))
}
