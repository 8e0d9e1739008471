//! nginx, as the limit of what any proxy can do here: two workers, connections kept alive on both sides,
//! nothing logged, nothing on disk.

use super::Outcome;
use super::child::{Program, answers, free_port, which};
use super::process;
use groat::chain::dev::leashed;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// The longest word of its configuration, less some room.
const WORD_MAX: usize = 3000;

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    pub(crate) version: String,
    program: Program,
}

impl Nginx {
    /// Starts it before an upstream. At `/static` it answers itself what `canned` says, if anything.
    pub(crate) async fn start(
        folder: &Path,
        upstream: SocketAddr,
        canned: Option<&Canned>,
    ) -> Outcome<Self> {
        let nginx = which("nginx").ok_or("nginx is not installed")?;
        let asked = std::process::Command::new(&nginx).arg("-v").output()?;
        let version = String::from_utf8_lossy(&asked.stderr).trim().to_owned();
        let folder = folder.join("nginx");
        std::fs::create_dir_all(&folder)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let config = folder.join("nginx.conf");
        std::fs::write(&config, configuration(&folder, address, upstream, canned)?)?;
        let mut command = leashed(&nginx);
        command.arg("-p").arg(&folder).arg("-c").arg(&config);
        command.stderr(std::fs::File::create(folder.join("said.log"))?);
        let mut program = Program::start(&mut command)?;
        let ready = answers(&mut program, &format!("http://{address}/ready")).await;
        if let Err(error) = ready {
            let said = std::fs::read_to_string(folder.join("said.log")).unwrap_or_default();
            return Err(format!("nginx: {error}: {said}").into());
        }
        Ok(Self {
            address,
            version,
            program,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }
}

/// An answer of nginx's own.
#[derive(Debug, Clone)]
pub(crate) struct Canned {
    pub(crate) status: u16,
    pub(crate) header: (String, String),
    pub(crate) body: String,
}

fn configuration(
    folder: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
    canned: Option<&Canned>,
) -> Outcome<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let user = match process::number(&status, "Uid:") {
        // Its workers would become somebody who cannot read our folder.
        Some(0) => "user root;",
        _ => "",
    };
    let folder = folder.display();
    let mut config = format!(
        r"daemon off;
{user}
worker_processes 2;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 8m;
  client_body_buffer_size 1m;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  tcp_nodelay on;
  upstream null {{ server {upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass http://null;
      proxy_http_version 1.1;
      proxy_set_header Connection '';
      proxy_buffering off;
    }}
    location = /ready {{ return 200 'ready'; }}
"
    );
    if let Some(canned) = canned {
        answer_itself(&mut config, canned)?;
    }
    config.push_str("  }\n}\n");
    Ok(config)
}

fn answer_itself(config: &mut String, canned: &Canned) -> Outcome<()> {
    config.push_str("    location = /static {\n      default_type application/json;\n");
    let header = variables(config, "header", &canned.header.1)?;
    let body = variables(config, "body", &canned.body)?;
    let (status, name) = (canned.status, &canned.header.0);
    writeln!(config, "      add_header {name} \"{header}\" always;")?;
    writeln!(config, "      return {status} \"{body}\";\n    }}")?;
    Ok(())
}

/// Puts a text into variables, as long as a word may be each, and gives the expression that joins them.
fn variables(config: &mut String, name: &str, text: &str) -> Outcome<String> {
    if text.contains(['$', '\'']) {
        return Err("nginx would read more into this text than it says".into());
    }
    let escaped = text.replace('\\', "\\\\");
    let bytes = escaped.as_bytes();
    let mut joined = String::new();
    for (number, piece) in bytes.chunks(WORD_MAX).enumerate() {
        let piece = std::str::from_utf8(piece)?;
        writeln!(config, "      set ${name}_{number}_ '{piece}';")?;
        write!(joined, "${{{name}_{number}_}}")?;
    }
    Ok(joined)
}
