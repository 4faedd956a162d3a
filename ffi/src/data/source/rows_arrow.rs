//! Rows of Arrow IPC files, stream or file, as JSON.

use super::ReadAt;
use super::fault::{Fault, guarded};
use super::rows::{float, list, object, quoted};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_ipc::reader::{FileReader, StreamReader};
use std::io::Cursor;
use std::sync::Arc;

/// What the file form starts with.
const FILE_MAGIC: &[u8] = b"ARROW1";

/// All rows of a file.
pub(super) fn rows(file: &Arc<dyn ReadAt>) -> Result<Vec<String>, Fault> {
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes)?;
    let rows = guarded(|| {
        let is_file = bytes.starts_with(FILE_MAGIC);
        let bytes = Cursor::new(bytes);
        let reader: Box<dyn RecordBatchReader> = match is_file {
            true => Box::new(FileReader::try_new(bytes, None).map_err(|e| e.to_string())?),
            false => Box::new(StreamReader::try_new(bytes, None).map_err(|e| e.to_string())?),
        };
        let mut rows = Vec::new();
        for batch in reader {
            let batch = batch.map_err(|e| e.to_string())?;
            for row in 0..batch.num_rows() {
                rows.push(json_row(&batch, row)?);
            }
        }
        Ok::<_, String>(rows)
    });
    rows.map_err(|reason| Fault::bad(format!("its rows cannot be read ({reason})")))
}

fn json_row(batch: &RecordBatch, row: usize) -> Result<String, String> {
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let values = batch.columns().iter().map(|column| json(column, row)).collect::<Result<Vec<_>, String>>()?;
    Ok(object(names.zip(values)))
}

fn json(array: &dyn Array, row: usize) -> Result<String, String> {
    if array.is_null(row) {
        return Ok("null".into());
    }
    if let Some(fields) = array.as_struct_opt() {
        let values = fields.columns().iter().map(|column| json(column, row)).collect::<Result<Vec<_>, String>>()?;
        return Ok(object(fields.column_names().into_iter().zip(values)));
    }
    let elements = array.as_list_opt::<i32>().map(|lists| lists.value(row));
    let elements = elements.or_else(|| array.as_list_opt::<i64>().map(|lists| lists.value(row)));
    if let Some(elements) = elements {
        let values = (0..elements.len()).map(|at| json(&elements, at)).collect::<Result<Vec<_>, String>>()?;
        return Ok(list(values.into_iter()));
    }
    let integers = [
        number::<Int64Type>,
        number::<Int32Type>,
        number::<Int16Type>,
        number::<Int8Type>,
        number::<UInt64Type>,
        number::<UInt32Type>,
        number::<UInt16Type>,
        number::<UInt8Type>,
    ];
    let text = array.as_string_opt::<i32>().map(|texts| texts.value(row));
    let text = text.or_else(|| array.as_string_opt::<i64>().map(|texts| texts.value(row)));
    let text = text.or_else(|| array.as_string_view_opt().map(|texts| texts.value(row)));
    let leaf = text.map(quoted).or_else(|| integers.iter().find_map(|number| number(array, row)));
    let leaf = leaf.or_else(|| array.as_primitive_opt::<Float64Type>().map(|values| float(values.value(row))));
    let leaf = leaf.or_else(|| array.as_primitive_opt::<Float32Type>().map(|values| float(values.value(row).into())));
    let leaf = leaf.or_else(|| array.as_boolean_opt().map(|values| values.value(row).to_string()));
    leaf.ok_or_else(|| format!("it has a column of another kind than texts, numbers, lists and structs: {}", array.data_type()))
}

fn number<T: ArrowPrimitiveType<Native: ToString>>(array: &dyn Array, row: usize) -> Option<String> {
    Some(array.as_primitive_opt::<T>()?.value(row).to_string())
}
