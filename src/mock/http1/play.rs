//! Carrying out the steps of a reply in HTTP/1.1.

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::{Connection, End};
use crate::mock::conduct::{Afterwards, Framing};
use crate::mock::socket::Gone;
use crate::mock::steps::{Performance, Step};

/// What is collected before it is written, if nothing asks for an earlier write.
const WRITE_BYTES: usize = 64 * 1024;

/// One reply on its way out.
pub(super) struct Play {
    output: BytesMut,
    chunked: bool,
    pub(super) body_bytes: u64,
    /// Nothing has been written yet.
    unwritten: bool,
    /// Everything, if one write was enough for it.
    pub(super) single_write: Option<Bytes>,
}

impl Play {
    pub(super) fn new(performance: &Performance) -> Self {
        let chunked = match performance.conduct.framing {
            Framing::Usual => performance.whole_length().is_none(),
            Framing::Chunked => true,
            Framing::UntilClose => false,
        };
        let output = BytesMut::with_capacity(1024);
        Self { output, chunked, body_bytes: 0, unwritten: true, single_write: None }
    }

    /// Carries the reply out. `Some` if it ends the connection.
    pub(super) async fn run(
        &mut self,
        connection: &mut Connection,
        performance: &Performance,
    ) -> Result<Option<End>, Gone> {
        for step in &performance.steps {
            match step {
                Step::Wait(time) => {
                    self.write(connection).await?;
                    connection.socket.pause(*time, &mut connection.input).await?;
                }
                Step::Head => {
                    self.head(performance);
                    if let Some(per_byte) = performance.conduct.slow_head {
                        for byte in self.output.split() {
                            connection.send(&[byte]).await?;
                            connection.socket.pause(per_byte, &mut connection.input).await?;
                        }
                    }
                }
                Step::Data(bytes) => {
                    self.data(bytes);
                    if self.output.len() >= WRITE_BYTES {
                        self.write(connection).await?;
                    }
                }
                Step::Flush => self.write(connection).await?,
                Step::Stall => {
                    self.write(connection).await?;
                    connection.socket.stall(&mut connection.input).await?;
                }
                Step::Raw(bytes) => self.output.extend_from_slice(bytes),
                Step::End => {
                    if self.chunked {
                        self.output.extend_from_slice(b"0\r\n\r\n");
                    }
                }
                Step::Close => {
                    self.write(connection).await?;
                    return Ok(Some(End::Close));
                }
                Step::Reset => {
                    self.write(connection).await?;
                    return Ok(Some(End::Reset));
                }
            }
        }
        if self.unwritten {
            let all = self.output.split().freeze();
            connection.send(&all).await?;
            self.single_write = Some(all);
        } else {
            self.write(connection).await?;
        }
        Ok(None)
    }

    async fn write(&mut self, connection: &mut Connection) -> Result<(), Gone> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.unwritten = false;
        let result = connection.send(&self.output).await;
        self.output.clear();
        result
    }

    fn head(&mut self, performance: &Performance) {
        let rendered = &performance.rendered;
        let status = rendered.status;
        let mut add = |text: &str| self.output.extend_from_slice(text.as_bytes());
        add(&format!("HTTP/1.1 {status} {}\r\n", reason(status)));
        for (name, value) in &rendered.headers {
            add(name);
            add(": ");
            add(value);
            add("\r\n");
        }
        if self.chunked {
            add("transfer-encoding: chunked\r\n");
        } else if performance.conduct.framing == Framing::Usual
            && let Some(length) = performance.whole_length()
        {
            add("content-length: ");
            add(itoa::Buffer::new().format(length));
            add("\r\n");
        }
        let closes = performance.conduct.afterwards == Afterwards::Close
            || performance.conduct.framing == Framing::UntilClose;
        add(if closes { "connection: close\r\n\r\n" } else { "\r\n" });
    }

    fn data(&mut self, bytes: &Bytes) {
        self.body_bytes += bytes.len() as u64;
        if self.chunked {
            self.output.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
            self.output.extend_from_slice(bytes);
            self.output.extend_from_slice(b"\r\n");
        } else {
            self.output.extend_from_slice(bytes);
        }
    }
}

/// The words after a status.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        529 => "Site is overloaded",
        _ => StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason()).unwrap_or(""),
    }
}
