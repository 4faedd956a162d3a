//! One column of one JSON text, without a tree of the rest: everything that is not on the path is skipped unparsed.

use super::column::{ELEMENT, behind};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What stands at a path of a JSON text, in order: a string, or nothing where there is a null or an empty list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub slots: Vec<Option<String>>,
    /// How many of the empty slots stand for a field that is not there.
    pub missing: usize,
}

/// Reads what stands at `path` of `text`; with an empty path, the text itself.
pub(super) fn extract(text: &str, path: &str) -> serde_json::Result<Found> {
    let mut found = Found::default();
    let mut json = serde_json::Deserializer::from_str(text);
    Leaf { path: Some(path), found: &mut found }.deserialize(&mut json)?;
    json.end()?;
    Ok(found)
}

/// The paths of all strings of `text`, and of nulls, which may be strings elsewhere; each once, in order.
pub(super) fn leaves(text: &str) -> serde_json::Result<Vec<String>> {
    let mut leaves = Vec::new();
    collect(&serde_json::from_str(text)?, "", &mut leaves);
    Ok(leaves)
}

fn collect(value: &serde_json::Value, path: &str, leaves: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
    match value {
        serde_json::Value::String(_) | serde_json::Value::Null if !leaves.iter().any(|leaf| leaf == path) => leaves.push(path.to_string()),
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| collect(value, &below(name), leaves)),
        serde_json::Value::Array(elements) => elements.iter().for_each(|element| collect(element, &below(ELEMENT), leaves)),
        _ => {}
    }
}

/// Visits a value; `path` is the rest of the way, `None` at its end.
struct Leaf<'a> {
    path: Option<&'a str>,
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Leaf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Leaf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.path {
            Some(path) => write!(f, "something with \"{path}\" in it"),
            None => f.write_str("a string"),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.path {
            Some(_) => Err(E::invalid_type(serde::de::Unexpected::Other("a string"), &self)),
            None => {
                self.found.slots.push(Some(text.to_string()));
                Ok(())
            }
        }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.found.slots.push(None);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Some(rest) = self.path.and_then(|path| behind(path, ELEMENT)) else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        };
        let before = self.found.slots.len();
        while elements.next_element_seed(Leaf { path: rest, found: self.found })?.is_some() {}
        if self.found.slots.len() == before {
            self.found.slots.push(None);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Some(path) = self.path else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        let (slots, missing) = (self.found.slots.len(), self.found.missing);
        let mut is_there = false;
        while let Some(rest) = fields.next_key_seed(Name(path))? {
            match rest {
                Some(rest) => {
                    // Of fields with the same name the last one counts, as in most readers of JSON.
                    self.found.slots.truncate(slots);
                    self.found.missing = missing;
                    is_there = true;
                    fields.next_value_seed(Leaf { path: rest, found: self.found })?;
                }
                None => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !is_there {
            self.found.slots.push(None);
            self.found.missing += 1;
        }
        Ok(())
    }
}

/// Compares a field's name with the start of a path.
struct Name<'a>(&'a str);

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = Option<Option<&'a str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a> {
    type Value = Option<Option<&'a str>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(behind(self.0, name))
    }
}
