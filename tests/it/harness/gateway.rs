use super::{PATIENCE, until};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// The built binary serving a configuration; killed with its owner.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) url: String,
    config: PathBuf,
    log: PathBuf,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Gateway {
    pub(crate) fn new(
        url: String,
        folder: &Path,
        config: &str,
        environment: Vec<(String, String)>,
    ) -> Self {
        let path = folder.join("groat.toml");
        std::fs::write(&path, config).expect("write the configuration");
        Self {
            url,
            config: path,
            log: folder.join("groat.log"),
            environment,
            child: None,
        }
    }

    pub(crate) fn rewrite_config(&self, edit: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.config).expect("read the configuration");
        std::fs::write(&self.config, edit(text)).expect("write the configuration");
    }

    /// Starts the gateway and waits until it is ready. `failpoints` is the `fail` crate's language,
    /// for example `hold=return` or `capture=3*off->return`.
    pub(crate) async fn start(&mut self, failpoints: &str) {
        self.spawn(failpoints);
        assert!(
            self.becomes_ready().await,
            "groat serve ended\n{}",
            self.log()
        );
    }

    /// Waits until the gateway takes payments; false when it ended before.
    pub(crate) async fn becomes_ready(&mut self) -> bool {
        let ready = format!("{}/readyz", self.url);
        let client = super::http();
        until("the gateway is ready", || {
            let child = self.child.as_mut().expect("a child");
            let ended = child.try_wait().expect("its status").is_some();
            let asked = client.get(&ready).send();
            async move {
                if ended {
                    return Some(false);
                }
                asked.await.ok()?.status().is_success().then_some(true)
            }
        })
        .await
    }

    /// Starts the gateway without waiting for it.
    pub(crate) fn spawn(&mut self, failpoints: &str) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("open the log");
        let child = Command::new(env!("CARGO_BIN_EXE_groat"))
            .args(["serve", "--config"])
            .arg(&self.config)
            .env("GROAT_LOG", "groat=debug,info")
            .envs(self.environment.iter().cloned())
            .env("FAILPOINTS", failpoints)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("start groat serve");
        self.child = Some(child);
    }

    pub(crate) async fn kill_9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("kill the gateway");
        }
    }

    /// Sends SIGTERM and waits for the end; true when it ended with success.
    pub(crate) async fn terminate(&mut self) -> bool {
        self.signal("TERM").await;
        self.wait().await.success()
    }

    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.pid().expect("a running gateway").to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .await
            .expect("run kill");
        assert!(sent.success());
    }

    /// Waits for the process to end, as it does by itself at a failpoint.
    pub(crate) async fn wait(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("a running gateway");
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        ended.expect("the gateway ends").expect("its status")
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
