//! A multipart form is read or refused; what is written of it is a form that says the same.

use bytes::Bytes;
use tollgate::dialect::Endpoint;
use tollgate::wire::RequestOptions;
use tollgate::wire::form::{Form, boundary};

/// For every body. Its boundary is what stands between its first two hyphens and its first line end,
/// so that a change there changes both.
pub(crate) fn holds(input: &[u8]) {
    let line = input.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Ok(own) = std::str::from_utf8(line.strip_prefix(b"--").unwrap_or(line)) else { return };
    let written = boundary(&format!("multipart/form-data; boundary=\"{own}\""));
    for boundary in [Some(own), written.as_deref()].into_iter().flatten() {
        let Ok(form) = Form::parse(boundary, Bytes::copy_from_slice(input)) else { continue };
        let fields = form.fields();
        serde_json::from_slice::<serde_json::Value>(fields.bytes()).expect("fields are JSON");
        let options = RequestOptions::plain(Endpoint::Transcriptions, "another");
        let sent = Bytes::from(form.write(&options).concat());
        let again = Form::parse(boundary, sent.clone())
            .unwrap_or_else(|wrong| panic!("{wrong}: {}", String::from_utf8_lossy(&sent)));
        let fields = again.fields();
        assert_eq!(fields.str("model").as_deref(), Some("another"));
        let twice = Bytes::from(again.write(&options).concat());
        assert_eq!(twice, sent, "what was written is written again");
    }
}
