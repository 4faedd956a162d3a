//! Names of columns. A leaf has the same path whatever the format: the names of the fields from the top, with
//! `list.element` where a list is entered, as Parquet spells it.

/// What stands in a path for the elements of a list.
pub(super) const ELEMENT: &str = "list.element";

/// The column of a source that names none.
pub(super) const DEFAULT: &str = "text";

/// The leaf of `leaves`, the paths of all columns of strings, that `wanted` names, or why there is none.
///
/// A name without dots may be the last name of any path, so that a wrong `text` among several is never taken silently:
/// in sets that hold a page and what a model made of it, the column `text` is the page.
pub(super) fn choose(wanted: &str, leaves: &[String]) -> Result<String, String> {
    let is_named = |leaf: &&String| match wanted.strip_prefix('.') {
        Some(path) => *leaf == path,
        None if wanted.contains('.') => *leaf == wanted,
        None => *leaf == wanted || last_name(leaf) == wanted,
    };
    let candidates: Vec<_> = leaves.iter().filter(is_named).collect();
    match candidates[..] {
        [only] => Ok(only.clone()),
        [] if leaves.is_empty() => Err(format!("there is no column \"{wanted}\", nor any other of strings")),
        [] => Err(format!("there is no column \"{wanted}\" of strings; those of strings are {}", listed(leaves.iter()))),
        _ => Err(format!("column \"{wanted}\" may be {}; name one of them by this full path", listed(candidates.into_iter()))),
    }
}

/// The rest of `path` behind its first name `name`, `None` at its end; the outer `None` if it does not start with it. A
/// name may have dots.
pub(super) fn behind<'a>(path: &'a str, name: &str) -> Option<Option<&'a str>> {
    match path.strip_prefix(name)? {
        "" => Some(None),
        rest => rest.strip_prefix('.').map(Some),
    }
}

/// The name that a path ends with, behind which only lists may come.
fn last_name(leaf: &str) -> &str {
    let mut path = leaf;
    while let Some(outer) = path.strip_suffix(ELEMENT).and_then(|outer| outer.strip_suffix('.')) {
        path = outer;
    }
    path.rsplit('.').next().unwrap_or(path)
}

/// Paths as a user can write them: one at the top gets its dot, which makes it exact.
fn listed<'a>(leaves: impl Iterator<Item = &'a String>) -> String {
    let quoted: Vec<_> = leaves.map(|leaf| if leaf.contains('.') { format!("\"{leaf}\"") } else { format!("\".{leaf}\"") }).collect();
    quoted.join(", ")
}
