//! llama.cpp's own server with SmolLM2: a real model with a real KV cache.

use super::Failure;
use super::http::client;
use crate::chain::dev::leashed;
use crate::config::from_environment;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;

/// How long the server may take to load its model.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running server; dropping it kills it.
pub(super) struct Llama {
    /// Its base URL, up to `/v1`.
    pub(super) base_url: String,
    child: Child,
}

impl Llama {
    /// Starts the server that `./scripts/setup --real-model` built.
    pub(super) async fn start() -> Result<Self, Failure> {
        let set = |name: &str| {
            from_environment(name).ok_or_else(|| {
                Failure::other(format!("{name} is not set: run ./scripts/setup --real-model, then: source scripts/lib/env.sh"))
            })
        };
        let (server, model) = (set("GROAT_LLAMA_SERVER")?, set("GROAT_LLAMA_MODEL")?);
        let port = free_port()?;
        let child = leashed(Path::new(&server))
            .args([
                "--model",
                &model,
                "--host",
                "127.0.0.1",
                "--port",
                &port.to_string(),
            ])
            .args([
                "--alias",
                "smollm2-135m-instruct",
                "--ctx-size",
                "8192",
                "--no-ui",
            ])
            // One slot, so that every call meets the same KV cache.
            .args(["--parallel", "1"])
            // Its threads wait by spinning: more of them than idle cores make it slower.
            .args(["--threads", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Failure::other(format!("{server}: {error}")))?;
        let mut llama = Self {
            base_url: format!("http://127.0.0.1:{port}/v1"),
            child,
        };
        let health = format!("http://127.0.0.1:{port}/health");
        let ready = tokio::time::timeout(START_TIMEOUT, llama.answers(&health)).await;
        ready.map_err(|_| {
            Failure::other("llama.cpp's server did not answer within two minutes")
        })??;
        Ok(llama)
    }

    async fn answers(&mut self, health: &str) -> Result<(), Failure> {
        let client = client()?;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Failure::other(format!(
                    "llama.cpp's server ended at once: {status}"
                )));
            }
            if client
                .get(health)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn stop(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "llama.cpp's server did not stop in order");
        }
    }
}

fn free_port() -> Result<u16, Failure> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(Failure::other)?;
    Ok(listener.local_addr().map_err(Failure::other)?.port())
}
