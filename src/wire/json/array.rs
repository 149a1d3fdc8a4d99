//! Rewriting the elements of an array, each read one level deep.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{Broken, Cursor, Object};

/// Rewrites those elements of an array that are objects and for which `change` returns a new text.
/// Other elements and the text between them are copied. `None`: nothing changed, or not an array.
///
/// `array` is part of a text that [`Object::parse`] accepted, so it is valid as a whole.
pub(crate) fn map_elements(
    array: &Bytes,
    mut change: impl FnMut(&Object) -> Option<Bytes>,
) -> Option<Bytes> {
    let mut out = BytesMut::new();
    let mut copied = 0;
    each_object(array, |_, object, Range { start, end }| {
        if let Some(text) = change(object) {
            if out.is_empty() {
                out.reserve(array.len() + text.len());
            }
            out.extend_from_slice(&array[copied..start]);
            out.extend_from_slice(&text);
            copied = end;
        }
    })
    .ok()?;
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&array[copied..]);
    Some(out.freeze())
}

/// Those elements of an array that are objects. As for [`map_elements`], the array is valid.
pub(crate) fn elements(array: &Bytes) -> Vec<Object> {
    numbered(array).into_iter().map(|(_, object)| object).collect()
}

/// As [`elements`], each with its place in the array, counted from 0.
pub(crate) fn numbered(array: &Bytes) -> Vec<(usize, Object)> {
    let mut objects = Vec::new();
    // A value that is no array has no elements.
    let _no_array = each_object(array, |at, object, _| objects.push((at, object.clone())));
    objects
}

fn each_object(
    array: &Bytes,
    mut visit: impl FnMut(usize, &Object, Range<usize>),
) -> Result<(), Broken> {
    let mut cursor = Cursor::new(array);
    cursor.open(b'[')?;
    let mut count = 0;
    while cursor.element(count == 0)? {
        let at = count;
        count += 1;
        let span = cursor.value()?;
        if array[span.start] == b'{' {
            let bytes = array.slice(span.clone());
            let fields = Object::read(&bytes)?;
            visit(at, &Object { bytes, fields }, span);
        }
    }
    Ok(())
}
