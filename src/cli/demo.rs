//! `tollgate demo`: the gateway on scripted providers of the same process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::{START_FAILED, complain, out, serve};
use crate::config::{self, ProcessEnv};
use crate::mock;

#[derive(Args)]
pub(super) struct Arguments {
    /// Port to listen on
    #[arg(long, short = 'p', default_value_t = 4000, env = "PORT")]
    port: u16,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let prepared = mock::demo().and_then(|demo| Ok((demo.config_yaml()?, demo)));
    let (yaml, demo) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            complain(&format!("tollgate demo: cannot start the scripted providers: {error}\n"));
            return ExitCode::from(START_FAILED);
        }
    };
    let mut loaded = config::load_text(Path::new("demo"), &yaml, &ProcessEnv);
    // That a demonstration asks for no key needs no warning.
    loaded.problems.retain(|problem| problem.severity == config::Severity::Error);
    let greet = |address| out(&greeting(address));
    let place = serve::Arguments::loopback(arguments.port);
    serve::serve(loaded, &place, None, Some(serve::Demonstration { demo, greet }))
}

fn greeting(address: SocketAddr) -> String {
    let base = format!("http://{address}");
    format!(
        r#"Tollgate demo: the gateway with scripted providers, no key needed.

With curl:
  curl {base}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "hello"}}]}}'
  curl -N {base}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model": "claude-sonnet-4-5", "stream": true, "messages": [{{"role": "user", "content": "hello"}}]}}'

With Python (pip install openai):
  from openai import OpenAI
  client = OpenAI(base_url="{base}/v1", api_key="anything")
  reply = client.chat.completions.create(
      model="gpt-4o-mini", messages=[{{"role": "user", "content": "hello"}}])
  print(reply.choices[0].message.content)

Models to try: gpt-4o-mini, claude-sonnet-4-5, azure-gpt-4o; flaky (retries), broken (falls back),
slow; mock-429, mock-cut-3, mock-stall (they misbehave by name).

Pages:
  {base}/ui          the dashboard
  {base}/            this gateway's routes
  {base}/health      health of every model group
  {base}/metrics     metrics for Prometheus
  {base}/v1/models   the models

Every request is one JSON line below. Stop with Ctrl-C.
"#
    )
}
