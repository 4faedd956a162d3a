//! Rows of Parquet files as JSON.

use super::ReadAt;
use super::fault::{Fault, guarded};
use super::parquet_bytes::FileBytes;
use super::rows::{float, list, object, quoted};
use ::parquet::file::reader::FileReader;
use ::parquet::file::serialized_reader::SerializedFileReader;
use ::parquet::record::{Field, Row};
use std::sync::Arc;

/// All rows of a file.
pub(super) fn rows(file: &Arc<dyn ReadAt>) -> Result<Vec<String>, Fault> {
    let rows = guarded(|| {
        let reader = SerializedFileReader::new(FileBytes::new(file, 0..file.len())).map_err(|e| e.to_string())?;
        let rows = reader.get_row_iter(None).map_err(|e| e.to_string())?;
        rows.map(|row| json_row(&row.map_err(|e| e.to_string())?)).collect()
    });
    // The host's own error, if it had one, is part of the reason.
    rows.map_err(|reason| Fault::bad(format!("its rows cannot be read ({reason})")))
}

fn json_row(row: &Row) -> Result<String, String> {
    let entries = row.get_column_iter().map(|(key, field)| Ok((key.as_str(), json(field)?))).collect::<Result<Vec<_>, String>>()?;
    Ok(object(entries.into_iter()))
}

fn json(field: &Field) -> Result<String, String> {
    Ok(match field {
        Field::Null => "null".into(),
        Field::Bool(value) => value.to_string(),
        Field::Byte(value) => value.to_string(),
        Field::Short(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::UByte(value) => value.to_string(),
        Field::UShort(value) => value.to_string(),
        Field::UInt(value) => value.to_string(),
        Field::ULong(value) => value.to_string(),
        Field::Float(value) => float(f64::from(*value)),
        Field::Double(value) => float(*value),
        Field::Str(text) => quoted(text),
        // Writers of old leave texts without a mark.
        Field::Bytes(bytes) => quoted(bytes.as_utf8().map_err(|e| e.to_string())?),
        Field::Group(row) => json_row(row)?,
        Field::ListInternal(values) => list(values.elements().iter().map(json).collect::<Result<Vec<_>, String>>()?.into_iter()),
        other => return Err(format!("it has a column of another kind than texts, numbers, lists and groups: {other}")),
    })
}
