//! Reading and writing dictionaries of the API (`a{sv}`).

use lxhost_dbus::wire::Values;
use serde_json::{Map, Number, Value};
use zbus::wire::{OwnedVariant, Variant};

/// A text, or empty.
pub(crate) fn text(values: &Values, key: &str) -> String {
    match values.get(key).map(|v| &**v) {
        Some(Variant::Str(s)) => s.as_str().to_owned(),
        Some(Variant::ObjectPath(p)) => p.as_str().to_owned(),
        _ => String::new(),
    }
}

/// An unsigned number.
pub(crate) fn number(values: &Values, key: &str) -> Option<u64> {
    as_number(values.get(key)?)
}

/// A number out of a dictionary within: `memory` → `current`.
pub(crate) fn number_in(values: &Values, key: &str, inner: &str) -> Option<u64> {
    let Value::Object(map) = json(values.get(key)?) else { return None };
    map.get(inner)?.as_u64()
}

/// A list of texts, or an empty one.
pub(crate) fn list(values: &Values, key: &str) -> Vec<String> {
    let Some(Variant::Array(array)) = values.get(key).map(|v| &**v) else { return Vec::new() };
    array
        .iter()
        .filter_map(|v| match v {
            Variant::Str(s) => Some(s.as_str().to_owned()),
            Variant::ObjectPath(p) => Some(p.as_str().to_owned()),
            _ => None,
        })
        .collect()
}

fn as_number(value: &OwnedVariant) -> Option<u64> {
    match **value {
        Variant::U8(n) => Some(n.into()),
        Variant::U16(n) => Some(n.into()),
        Variant::U32(n) => Some(n.into()),
        Variant::U64(n) => Some(n),
        Variant::I32(n) => u64::try_from(n).ok(),
        Variant::I64(n) => u64::try_from(n).ok(),
        _ => None,
    }
}

/// Microseconds since the epoch in RFC 3339, or null for never.
pub(crate) fn time(usec: u64) -> Value {
    match i64::try_from(usec).map(jiff::Timestamp::from_microsecond) {
        Ok(Ok(time)) if usec > 0 => time.to_string().into(),
        _ => Value::Null,
    }
}

/// Any value as JSON; a file descriptor becomes null.
pub(crate) fn json(value: &Variant<'_>) -> Value {
    match value {
        Variant::U8(n) => (*n).into(),
        Variant::Bool(b) => (*b).into(),
        Variant::I16(n) => (*n).into(),
        Variant::U16(n) => (*n).into(),
        Variant::I32(n) => (*n).into(),
        Variant::U32(n) => (*n).into(),
        Variant::I64(n) => (*n).into(),
        Variant::U64(n) => (*n).into(),
        Variant::F64(n) => Number::from_f64(*n).map_or(Value::Null, Value::Number),
        Variant::Str(s) => s.as_str().into(),
        Variant::Signature(s) => s.to_string().into(),
        Variant::ObjectPath(p) => p.as_str().into(),
        Variant::Variant(inner) => json(inner),
        Variant::Array(array) => Value::Array(array.iter().map(json).collect()),
        Variant::Dict(dict) => {
            let mut map = Map::new();
            for (key, value) in dict.iter() {
                let key = match json(key) {
                    Value::String(s) => s,
                    other => other.to_string(),
                };
                map.insert(key, json(value));
            }
            Value::Object(map)
        }
        Variant::Structure(structure) => Value::Array(structure.fields().iter().map(json).collect()),
        Variant::Fd(_) => Value::Null,
    }
}

/// A whole dictionary as JSON, keys in order.
pub(crate) fn object(values: &Values) -> Map<String, Value> {
    let mut keys: Vec<&String> = values.keys().collect();
    keys.sort();
    keys.into_iter().map(|key| (key.clone(), json(&values[key]))).collect()
}
