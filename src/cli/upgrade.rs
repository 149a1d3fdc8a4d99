//! `tollgate upgrade`: asks the running gateway to let a new process serve in its place.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{START_FAILED, complain, out};

#[derive(Args)]
pub(super) struct Arguments {
    /// The control socket of the running gateway
    #[arg(
        long = "control_socket",
        alias = "control-socket",
        value_name = "PATH",
        env = "TOLLGATE_CONTROL_SOCKET"
    )]
    control_socket: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let path = arguments.control_socket.display();
    let asked = UnixStream::connect(&arguments.control_socket).and_then(|mut stream| {
        stream.write_all(b"upgrade\n")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    });
    let problem = match asked.as_deref().map(str::trim) {
        Ok(answer) => match answer.split_once(' ') {
            Some(("ok", pid)) => {
                out(&format!("process {pid} serves now; the one before finishes its requests\n"));
                return ExitCode::SUCCESS;
            }
            Some((_, problem)) => problem.to_owned(),
            None => "the gateway ended before it answered".to_owned(),
        },
        Err(error) => format!("cannot ask the gateway at {path}: {error}"),
    };
    complain(&format!("tollgate upgrade: {problem}\n"));
    ExitCode::from(START_FAILED)
}
