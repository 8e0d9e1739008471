//! Several providers behind one model.

mod answering;
mod catalogue;
mod failing;
mod fast;
mod llama;
mod pool;
mod replay;
mod seen;
mod warm;

use crate::harness::{Answer, Setup, Stack};
use groat::sim::{SimConfig, SimStats};
use serde_json::{Value, json};

/// A simulated provider, and the endpoint that it is.
#[derive(Debug)]
struct Provider {
    name: &'static str,
    url: String,
}

impl Provider {
    /// Starts one; it ends with the test.
    async fn start(name: &'static str) -> Self {
        Self::start_with(name, SimConfig::default()).await
    }

    /// Starts one that has this configuration.
    async fn start_with(name: &'static str, config: SimConfig) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = groat::sim::serve(listener, config, std::future::pending());
        tokio::spawn(serving);
        Self { name, url }
    }

    /// Its entry in a configuration, with the model `shared`.
    fn entry(&self, lines: &str, upstream_id: &str, model: &str) -> String {
        let Self { name, url } = self;
        format!(
            "[[upstream]]\nname = \"{name}\"\nbase_url = \"{url}/v1\"\n{lines}\n[[upstream.model]]\nid = \"shared\"\nupstream_id = \"{upstream_id}\"\noutput_cap = 256\n{model}\n"
        )
    }

    async fn seen(&self) -> SimStats {
        let answer = reqwest::get(format!("{}/sim/calls", self.url)).await;
        answer.expect("the simulator").json().await.expect("calls")
    }

    /// The body of its latest call.
    async fn last_body(&self) -> Value {
        let n = self.seen().await.total;
        let answer = reqwest::get(format!("{}/sim/body/{n}", self.url)).await;
        let body = answer.expect("the simulator").bytes().await;
        serde_json::from_slice(&body.expect("a body")).expect("JSON")
    }
}

async fn stack(upstreams: &[String]) -> Stack {
    Stack::with(Setup {
        upstreams: upstreams.concat(),
        ..Setup::default()
    })
    .await
}

/// A body that asks the shared model, with more members.
fn ask(members: &Value) -> String {
    let mut body = json!({
        "model": "shared",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 32,
    });
    for (key, value) in members.as_object().expect("members") {
        body[key] = value.clone();
    }
    body.to_string()
}

/// The endpoint that answered.
fn by(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let receipt = answer.receipt();
    let by = receipt["answered_by"]["endpoint"].as_str();
    by.expect("an endpoint").to_owned()
}
