//! JSON files that are read whole: configurations, the index of shards.

use crate::error::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::io::Read;
use std::path::Path;

/// Parses a JSON file of at most `limit` bytes. A key that occurs twice in an object is an error: which of the two was
/// meant is anybody's guess.
pub fn read_json(path: &Path, limit: u64) -> Result<Value> {
    let invalid = |detail: String| Error::InvalidFile { path: path.into(), detail };
    let (file, size) = super::open_file(path)?;
    if size > limit {
        return Err(invalid(format!("is {size} bytes long; at most {limit} are read")));
    }
    let mut text = Vec::new();
    // The size was what the system said, which some file systems do not know and another process may change.
    file.take(limit.saturating_add(1)).read_to_end(&mut text).map_err(|e| invalid(e.to_string()))?;
    if text.len() as u64 > limit {
        return Err(invalid(format!("is longer than {limit} bytes, which is all that is read")));
    }
    parse_json(&text, path, limit)
}

/// [`read_json`] of text that is already there; `path` is where it came from, for error messages.
pub(crate) fn parse_json(text: &[u8], path: &Path, limit: u64) -> Result<Value> {
    let invalid = |detail: String| Error::InvalidFile { path: path.into(), detail };
    if text.len() as u64 > limit {
        return Err(invalid(format!("is {} bytes long; at most {limit} are read", text.len())));
    }
    parse(text).map_err(|e| invalid(format!("is not valid JSON: {e}")))
}

fn parse(text: &[u8]) -> serde_json::Result<Value> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = Unambiguous.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

/// Any JSON value whose objects have each key once.
struct Unambiguous;

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Unambiguous)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key '{key}' occurs twice")));
            }
            map.insert(key, entries.next_value_seed(Unambiguous)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::parse;

    #[test]
    fn values_are_those_of_the_usual_parser() {
        let text =
            r#"{"a":[1,-2,3.5,1e3,18446744073709551615,-9223372036854775808,"x\u00e9",true,null,{}],"b":{"a":""}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn what_is_ambiguous_or_no_json_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"b":2,"a":3}}]"#, "", "{", "1 2", "NaN", "{'a':1}", &deep] {
            assert!(parse(text.as_bytes()).is_err(), "{text:.40}");
        }
        assert!(parse(br#"{"a":1,"a":1}"#).unwrap_err().to_string().contains("'a' occurs twice"));
    }
}
