//! One column of strings in nested Arrow arrays, row by row.

use super::column::{ELEMENT, behind};
use arrow_array::cast::AsArray;
use arrow_array::{Array, OffsetSizeTrait};

/// What stands at `path` of row `row`, in order: a string, or nothing where there is a null or an empty list.
pub(super) fn collect(array: &dyn Array, row: usize, path: Option<&str>, slots: &mut Vec<Option<String>>) {
    if array.is_null(row) {
        slots.push(None);
    } else if let Some(dictionary) = array.as_any_dictionary_opt() {
        // Of this row alone: the keys of all rows would be copied for each.
        let key = array.slice(row, 1).as_any_dictionary().normalized_keys()[0];
        collect(dictionary.values(), key, path, slots);
    } else if let Some(path) = path {
        if let Some(fields) = array.as_struct_opt() {
            for (name, column) in fields.column_names().iter().zip(fields.columns()) {
                if let Some(rest) = behind(path, name) {
                    return collect(column, row, rest, slots);
                }
            }
        } else if let Some(rest) = behind(path, ELEMENT) {
            collect_list::<i32>(array, row, rest, slots);
            collect_list::<i64>(array, row, rest, slots);
        }
    } else if let Some(text) = string(array, row) {
        slots.push(Some(text.to_string()));
    }
}

fn collect_list<O: OffsetSizeTrait>(array: &dyn Array, row: usize, path: Option<&str>, slots: &mut Vec<Option<String>>) {
    let Some(list) = array.as_list_opt::<O>() else { return };
    let elements = list.value(row);
    if elements.is_empty() {
        slots.push(None);
    }
    (0..elements.len()).for_each(|element| collect(&elements, element, path, slots));
}

fn string(array: &dyn Array, row: usize) -> Option<&str> {
    let narrow = array.as_string_opt::<i32>().map(|texts| texts.value(row));
    let wide = || array.as_string_opt::<i64>().map(|texts| texts.value(row));
    let view = || array.as_string_view_opt().map(|texts| texts.value(row));
    narrow.or_else(wide).or_else(view)
}

/// Adds the paths of all columns of strings in `array`, which is called `path`.
pub(super) fn leaves(array: &dyn Array, path: &str, found: &mut Vec<String>) {
    if array.as_string_opt::<i32>().is_some() || array.as_string_opt::<i64>().is_some() || array.as_string_view_opt().is_some() {
        found.push(path.to_string());
    } else if let Some(dictionary) = array.as_any_dictionary_opt() {
        leaves(dictionary.values(), path, found);
    } else if let Some(fields) = array.as_struct_opt() {
        fields.column_names().iter().zip(fields.columns()).for_each(|(name, column)| leaves(column, &format!("{path}.{name}"), found));
    } else if let Some(list) = array.as_list_opt::<i32>() {
        leaves(list.values(), &format!("{path}.{ELEMENT}"), found);
    } else if let Some(list) = array.as_list_opt::<i64>() {
        leaves(list.values(), &format!("{path}.{ELEMENT}"), found);
    }
}
