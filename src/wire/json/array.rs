//! Rewriting the elements of an array, each read one level deep.

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
    each_object(array, |object, start, end| {
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
    let mut objects = Vec::new();
    // A value that is no array has no elements.
    let _no_array = each_object(array, |object, _, _| objects.push(object.clone()));
    objects
}

fn each_object(array: &Bytes, mut visit: impl FnMut(&Object, usize, usize)) -> Result<(), Broken> {
    let mut cursor = Cursor::new(array);
    cursor.open(b'[')?;
    let mut first = true;
    while cursor.element(first)? {
        first = false;
        let span = cursor.value()?;
        if array[span.start] == b'{' {
            let bytes = array.slice(span.clone());
            let fields = Object::read(&bytes)?;
            visit(&Object { bytes, fields }, span.start, span.end);
        }
    }
    Ok(())
}
