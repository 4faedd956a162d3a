//! Where two plans differ, for the message of a checkpoint that belongs to another one.

use serde_json::Value;

/// Longest text of a value in the message.
const MAX_VALUE: usize = 60;

/// The first place, in the order of `ours` with missing keys last, where two JSON values differ: its path and both
/// values, as in `train.batch is 8 there and 16 here`. `None` when they are equal.
pub fn first_difference(theirs: &Value, ours: &Value) -> Option<String> {
    let (path, theirs, ours) = search(String::new(), Some(theirs), Some(ours))?;
    Some(format!("{path} is {} there and {} here", show(theirs), show(ours)))
}

type Difference<'a> = (String, Option<&'a Value>, Option<&'a Value>);

fn search<'a>(path: String, theirs: Option<&'a Value>, ours: Option<&'a Value>) -> Option<Difference<'a>> {
    match (theirs, ours) {
        (Some(Value::Object(theirs)), Some(Value::Object(ours))) => {
            let missing = theirs.keys().filter(|key| !ours.contains_key(*key));
            ours.keys().chain(missing).find_map(|key| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                search(path, theirs.get(key), ours.get(key))
            })
        }
        (Some(Value::Array(theirs)), Some(Value::Array(ours))) => {
            (0..theirs.len().max(ours.len())).find_map(|at| search(format!("{path}[{at}]"), theirs.get(at), ours.get(at)))
        }
        _ if theirs == ours => None,
        _ => Some((if path.is_empty() { "the whole".into() } else { path }, theirs, ours)),
    }
}

fn show(value: Option<&Value>) -> String {
    let text = value.map_or("missing".to_string(), Value::to_string);
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
