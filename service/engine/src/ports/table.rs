//! A map that is copied when it is changed and not before: of a commit's two states, the one before and the one
//! after, all tables are shared but the one that the commit is about. Called by `State` alone.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// Records by key, in the order of the keys; read like the map it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<K, V>(Arc<BTreeMap<K, V>>);

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    /// Adds or replaces a record.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        Arc::make_mut(&mut self.0).insert(key, value)
    }

    /// Removes a record; one that is not there costs nothing.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.contains_key(key).then(|| Arc::make_mut(&mut self.0).remove(key)).flatten()
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table(Arc::default())
    }
}

impl<K, V> Deref for Table<K, V> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &BTreeMap<K, V> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_it_had_and_shares_what_nobody_changes() {
        let mut table = Table::default();
        table.insert(1, "one");
        let before = table.clone();
        assert_eq!(table.remove(&2), None);
        assert!(Arc::ptr_eq(&before.0, &table.0), "nothing was changed, nothing copied");
        table.insert(2, "two");
        assert_eq!((before.len(), table.len(), table.get(&1)), (1, 2, Some(&"one")));
    }
}
