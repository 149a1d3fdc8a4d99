//! `tollgate mock`: the scripted provider as a tool of its own.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::record::Record;
use super::script::Script;
use super::serve::{ServeOptions, Stage, Tls, accept};

/// What `tollgate mock` is told on its command line.
#[derive(Clone, Debug)]
pub struct MockOptions {
    /// The address to listen on.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// A script in YAML.
    pub script: Option<PathBuf>,
    /// Waits so long before every reply that the script does not time itself.
    pub latency_ms: Option<u64>,
    /// Paces every stream that the script does not pace itself.
    pub tokens_per_second: Option<f64>,
    /// Certificate chain and key, both PEM: TLS with HTTP/2 and HTTP/1.1.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Threads that serve, each with its own event loop.
    pub threads: usize,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 4010,
            script: None,
            latency_ms: None,
            tokens_per_second: None,
            tls: None,
            threads: 1,
        }
    }
}

/// Why `tollgate mock` did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The script, or a file it needs, is not right; the text is for the user.
    #[error("{0}")]
    BadScript(String),
    /// The provider could not be started.
    #[error("{0}")]
    Start(String),
}

impl RunError {
    /// The exit code of the process: 64 for a bad file, 1 for a failed start.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::BadScript(_) => 64,
            Self::Start(_) => 1,
        }
    }
}

/// Prints where the scripted provider listens and serves until SIGTERM or SIGINT.
///
/// # Errors
/// The script is bad, or the port cannot be had.
pub fn run(options: &MockOptions) -> Result<(), RunError> {
    let stage = Arc::new(Stage::new(ServeOptions {
        script: script(options)?,
        tls: tls(options)?,
        ..ServeOptions::default()
    }));
    let failed = |error: io::Error| {
        RunError::Start(format!("cannot listen on {}:{}: {error}", options.host, options.port))
    };
    let listener = TcpListener::bind((options.host.as_str(), options.port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let record = Arc::new(Record::new(false));
    let (stop, stopped) = watch::channel(false);
    let mut helpers = Vec::new();
    for number in 1..options.threads.max(1) {
        let listener = listener.try_clone().map_err(failed)?;
        let (stage, record, stopped) = (Arc::clone(&stage), Arc::clone(&record), stopped.clone());
        let helper = std::thread::Builder::new()
            .name(format!("mock-{number}"))
            .spawn(move || block_on(listener, stage, record, stop_of(stopped)));
        helpers.push(helper.map_err(failed)?);
    }
    let greeting = greeting(address, options.tls.is_some());
    io::stdout().write_all(greeting.as_bytes()).map_err(failed)?;
    let served = block_on(listener, stage, record, stop_signal());
    stop.send_replace(true);
    for helper in helpers {
        drop(helper.join());
    }
    served.map_err(failed)
}

fn block_on(
    listener: TcpListener,
    stage: Arc<Stage>,
    record: Arc<Record>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        accept(listener, stage, record, shutdown).await;
        Ok(())
    })
}

async fn stop_of(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone: stop as well.
    drop(stopped.wait_for(|stop| *stop).await);
}

/// Ready on SIGTERM and SIGINT.
async fn stop_signal() {
    let (term, int) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match (term, int) {
        (Ok(mut term), Ok(mut int)) => {
            tokio::select! {
                _ = term.recv() => {},
                _ = int.recv() => {},
            }
        }
        // Without handlers, the signals end the process by themselves.
        _ => std::future::pending().await,
    }
}

fn script(options: &MockOptions) -> Result<Script, RunError> {
    let mut script = match &options.script {
        None => Script::default(),
        Some(path) => {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| RunError::BadScript(format!("{file}: error: {error}")))?;
            Script::from_yaml(&text).map_err(|bad| RunError::BadScript(bad.render(&file, &text)))?
        }
    };
    if let Some(latency) = options.latency_ms.map(Duration::from_millis) {
        script.pace.latency = Some(latency..=latency);
    }
    if let Some(rate) = options.tokens_per_second {
        if !(rate.is_finite() && rate > 0.0) {
            let message = format!("--tokens-per-second: expected a number above 0, found {rate}");
            return Err(RunError::BadScript(message));
        }
        script.pace.tokens_per_second = Some(rate);
    }
    Ok(script)
}

fn tls(options: &MockOptions) -> Result<Option<Tls>, RunError> {
    let Some((certificates, key)) = &options.tls else { return Ok(None) };
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .map_err(|error| RunError::BadScript(format!("{}: error: {error}", path.display())))
    };
    Tls::from_pem(&read(certificates)?, &read(key)?, true)
        .map(Some)
        .map_err(|error| RunError::BadScript(format!("{}: error: {error}", certificates.display())))
}

fn greeting(address: SocketAddr, secure: bool) -> String {
    let scheme = if secure { "https" } else { "http" };
    let base = format!("{scheme}://{address}");
    let insecure = if secure { "-k " } else { "" };
    format!(
        r#"The scripted provider listens on {base}

  OpenAI     {base}/v1
  Azure      {base}/openai/deployments/{{name}}/chat/completions?api-version=2024-10-21
  Responses  {base}/v1/responses
  Anthropic  {base}/v1/messages
  Gemini     {base}/v1beta/models/{{model}}:generateContent
  Vertex AI  {base}/v1/.../publishers/{{google,anthropic}}/models/{{model}}:{{method}}
  Bedrock    {base}/model/{{model}}/converse
  Cohere     {base}/v2/chat
  Ollama     {base}/api/chat

Try it:
  curl {insecure}{base}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model": "gpt-4o", "messages": [{{"role": "user", "content": "hi"}}]}}'
  curl {insecure}-i {base}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model": "mock-429-60", "messages": []}}'
  curl {insecure}-N {base}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model": "mock-tps-20+cut-8", "stream": true, "messages": [{{"role": "user", "content": "hi"}}]}}'

A deployment for a gateway:
  - model_name: rehearsal
    litellm_params:
      model: openai/mock-429
      api_base: {base}/v1
      api_key: sk-mock
"#
    )
}
