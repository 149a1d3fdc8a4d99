//! The providers of `tollgate demo`: one that is reliable, one that is not, one that speaks
//! another dialect, and a configuration of the gateway that shows retries and fallbacks on them.

use std::io;
use std::net::TcpListener;

use tokio::sync::watch;

use super::script::Script;
use super::serve::{ServeOptions, serve};
use crate::dialect::Dialect;

/// Quick, and always right.
const RELIABLE: &str = "
latency_ms: [30, 80]
tokens_per_second: 80
";

/// Every second request is refused for the time being, some are answered late.
const FLAKY: &str = "
latency_ms: [40, 120]
tokens_per_second: 60
rules:
  - match: {model: gpt-4o-busy, every: 2}
    then: {status: 429, retry_after: 2}
  - match: {model: gpt-4o-broken}
    then: {status: 500}
  - match: {chance: 0.05}
    then: {latency_ms: [600, 900]}
";

/// As the first, in Anthropic's dialect.
const OTHER: &str = "
latency_ms: [50, 120]
tokens_per_second: 60
";

/// Three scripted providers whose ports are bound but which do not serve yet.
#[derive(Debug)]
pub struct Demo {
    openai: TcpListener,
    azure: TcpListener,
    anthropic: TcpListener,
}

/// Binds the providers of the demonstration to free loopback ports. It starts no thread: they are
/// served by [`Demo::serve`], wherever that is polled.
///
/// # Errors
/// No port is to be had.
pub fn demo() -> io::Result<Demo> {
    let bind = || TcpListener::bind("127.0.0.1:0");
    Ok(Demo { openai: bind()?, azure: bind()?, anthropic: bind()? })
}

impl Demo {
    /// The gateway's configuration for these providers.
    ///
    /// # Errors
    /// A listener has lost its address.
    pub fn config_yaml(&self) -> io::Result<String> {
        let openai = self.openai.local_addr()?;
        let azure = self.azure.local_addr()?;
        let anthropic = self.anthropic.local_addr()?;
        Ok(format!(
            r#"# What `tollgate demo` runs with: scripted providers instead of real ones.
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://{openai}/v1
      api_key: sk-demo

  - model_name: claude-sonnet-4-5
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: http://{anthropic}
      api_key: sk-demo

  - model_name: azure-gpt-4o
    litellm_params:
      model: azure/gpt-4o
      api_base: http://{azure}
      api_version: "2024-10-21"
      api_key: sk-demo

  # Two deployments, the first of which refuses every second request: the gateway retries on the
  # other one, and the first one rests.
  - model_name: flaky
    litellm_params:
      model: azure/gpt-4o-busy
      api_base: http://{azure}
      api_version: "2024-10-21"
      api_key: sk-demo
      order: 1
  - model_name: flaky
    litellm_params:
      model: openai/gpt-4o
      api_base: http://{openai}/v1
      api_key: sk-demo
      order: 2

  # Always a 500: answered by its fallback, gpt-4o-mini.
  - model_name: broken
    litellm_params:
      model: azure/gpt-4o-broken
      api_base: http://{azure}
      api_version: "2024-10-21"
      api_key: sk-demo

  # Late to begin and slow to speak.
  - model_name: slow
    litellm_params:
      model: openai/mock-ttft-1500+tps-10
      api_base: http://{openai}/v1
      api_key: sk-demo

  # Any misbehaviour by name: mock-429, mock-cut-3, mock-stall, mock-error-frame, ...
  - model_name: "mock-*"
    litellm_params:
      model: "openai/mock-*"
      api_base: http://{openai}/v1
      api_key: sk-demo

router_settings:
  num_retries: 2
  cooldown_time: 5
  fallbacks:
    - broken: [gpt-4o-mini]
"#
        ))
    }

    /// Serves all three until the watched value is true.
    ///
    /// # Errors
    /// A listener cannot be used with this runtime.
    pub async fn serve(self, shutdown: watch::Receiver<bool>) -> io::Result<()> {
        let stop = |mut watched: watch::Receiver<bool>| async move {
            // An error means that the sender is gone: stop as well.
            drop(watched.wait_for(|stop| *stop).await);
        };
        let options = |text: &str, dialect| -> io::Result<ServeOptions> {
            let script = Script::from_yaml(text).map_err(io::Error::other)?;
            Ok(ServeOptions { script, dialect, ..ServeOptions::default() })
        };
        tokio::try_join!(
            serve(self.openai, options(RELIABLE, Dialect::OpenAi)?, stop(shutdown.clone())),
            serve(self.azure, options(FLAKY, Dialect::Azure)?, stop(shutdown.clone())),
            serve(self.anthropic, options(OTHER, Dialect::Anthropic)?, stop(shutdown)),
        )?;
        Ok(())
    }
}
