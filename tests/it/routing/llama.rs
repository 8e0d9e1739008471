//! llama.cpp's server as an endpoint: a real model, and a real cache or none.

use crate::harness::{http, tool, until};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A running server; it ends with the test.
#[derive(Debug)]
pub(super) struct Llama {
    name: &'static str,
    port: u16,
    /// Killed when this is dropped.
    _server: Child,
}

impl Llama {
    /// Starts one with more arguments, and waits until its model is loaded.
    pub(super) async fn start(name: &'static str, arguments: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = port.expect("a port").port();
        let server = Command::new(tool("GROAT_LLAMA_SERVER", "--real-model"))
            .arg("--model")
            .arg(tool("GROAT_LLAMA_MODEL", "--real-model"))
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            // Two conversations; one thread, since more of them than idle cores make it slower.
            .args([
                "--ctx-size",
                "8192",
                "--parallel",
                "2",
                "--threads",
                "1",
                "--no-ui",
            ])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let server = server.expect("start llama.cpp's server");
        let health = format!("http://127.0.0.1:{port}/health");
        let client = http();
        until("llama.cpp's server has loaded its model", || async {
            let answer = client.get(&health).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        Self {
            name,
            port,
            _server: server,
        }
    }

    /// Its entry in a configuration, with the model `real`.
    pub(super) fn entry(&self, price: &str) -> String {
        let Self { name, port, .. } = self;
        format!(
            "[[upstream]]\ntemplate = \"llama.cpp\"\nname = \"{name}\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n[[upstream.model]]\nid = \"real\"\noutput_cap = 16\ncontext_tokens = 4096\nprice = {{ {price} }}\n"
        )
    }
}
