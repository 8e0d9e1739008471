//! What only a real socket shows: who closes it, and after which bytes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{ask, ask_stream};
use crate::sim::{SimConfig, SimStats, serve};

struct Running {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let ended = tokio::spawn(serve(listener, SimConfig::default(), shutdown));
    Running {
        address,
        stop,
        ended,
    }
}

impl Running {
    async fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    /// All bytes until the simulator closes the socket.
    async fn chat(&self, body: &Value) -> String {
        let socket = self
            .send("POST", "/v1/chat/completions", &body.to_string())
            .await;
        read_to_end(socket).await
    }

    async fn stats(&self) -> SimStats {
        let answer = read_to_end(self.send("GET", "/sim/calls", "").await).await;
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

async fn read_to_end(mut socket: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(Duration::from_secs(5), socket.read_to_end(&mut bytes))
        .await
        .unwrap();
    drop(read);
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_whole_answer_and_a_whole_stream_arrive() {
    let sim = start().await;
    let whole = sim.chat(&ask("sim/small", "x")).await;
    assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with('}'));
    let stream = sim.chat(&ask_stream("sim/small", "x")).await;
    assert!(
        stream.ends_with("\r\n0\r\n\r\n"),
        "the last chunk of the transfer coding"
    );
    assert!(stream.contains("data: [DONE]"));
    assert!(sim.stats().await.calls.iter().all(|call| call.completed));
}

#[tokio::test]
async fn a_cut_stream_ends_without_its_last_chunk() {
    let sim = start().await;
    for _ in 0..20 {
        let text = sim.chat(&ask_stream("sim/small?cut=3", "x")).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{text:?}");
        assert!(!text.ends_with("0\r\n\r\n") && !text.contains("[DONE]"));
        assert_eq!(
            text.matches("\"delta\":{\"content\":\"").count(),
            3,
            "all of the three arrive"
        );
    }
    let whole = sim.chat(&ask("sim/cut", "x")).await;
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let promised = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    assert!(!body.is_empty() && body.len() < promised.parse().unwrap());
}

#[tokio::test]
async fn a_dying_provider_sends_no_byte() {
    let sim = start().await;
    for _ in 0..20 {
        assert_eq!(sim.chat(&ask("sim/die", "x")).await, "");
    }
    let stats = sim.stats().await;
    assert!(stats.total == 20 && stats.calls.iter().all(|call| call.status == 0));
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_in_the_record() {
    let sim = start().await;
    let body = ask_stream("sim/small?tps=100&out=1000", "x").to_string();
    let mut socket = sim.send("POST", "/v1/chat/completions", &body).await;
    let mut some = [0; 64];
    socket.read_exact(&mut some).await.unwrap();
    drop(socket);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let first = sim.stats().await.calls.remove(0).chunks_sent;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let call = sim.stats().await.calls.remove(0);
    assert!(
        !call.completed && call.chunks_sent == first,
        "delivery stopped"
    );
}

#[tokio::test]
async fn shutdown_cuts_what_hangs_or_drips() {
    let sim = start().await;
    let mut drip = ask("sim/small", "x");
    drip["stream"] = json!(true);
    drip["model"] = json!("sim/small?tps=1&out=1000");
    let hanging = sim
        .send(
            "POST",
            "/v1/chat/completions",
            &ask("sim/hang", "x").to_string(),
        )
        .await;
    let dripping = sim
        .send("POST", "/v1/chat/completions", &drip.to_string())
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    sim.stop.send(()).unwrap();
    timeout(Duration::from_secs(1), sim.ended)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(read_to_end(hanging).await, "");
    assert!(!read_to_end(dripping).await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_and_billed_for_what_was_generated() {
    let sim = start().await;
    for (model, billed) in [
        ("sim/x?tps=200&out=64", None),
        ("sim/x?tps=200&out=64&on", Some(64)),
    ] {
        let body = ask_stream(model, "x").to_string();
        let mut socket = sim.send("POST", "/v1/chat/completions", &body).await;
        let mut some = [0; 1024];
        let read = timeout(Duration::from_secs(5), socket.read(&mut some)).await;
        assert!(read.unwrap().unwrap() > 0, "the answer begins");
        drop(socket);
        let call = loop {
            let call = sim
                .stats()
                .await
                .calls
                .into_iter()
                .rfind(|call| call.model == model);
            match call {
                Some(call) if call.left => break call,
                Some(call) => assert!(!call.completed, "it was sent to its end: {call:?}"),
                None => panic!("the call is not known"),
            }
        };
        assert!(call.tokens_sent < 64, "{call:?}");
        assert_eq!(
            call.tokens_billed,
            billed.unwrap_or(call.tokens_sent),
            "{call:?}"
        );
    }
    let whole = ask("sim/x?out=64", "x");
    sim.chat(&whole).await;
    let call = sim.stats().await.calls.pop().unwrap();
    assert_eq!((call.left, call.tokens_billed), (false, 64));
}
