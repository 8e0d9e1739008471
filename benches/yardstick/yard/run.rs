//! One run from first to last: everything is set up, then one measure after another.

use super::Outcome;
use super::arm::{
    Arm, DIRECT, FREE, LIBRARIES, MPP, MPP_TOGETHER, NGINX, NGINX_STATIC, ON_FIRST_BYTE, PATH,
    SETTLED_AFTER, SETTLED_AFTER_TOGETHER, UNPAID, UPTO, UPTO_TOGETHER, VOUCHER,
};
use super::bare::{Bare, bare};
use super::body::Body;
use super::books::{Books, books};
use super::child::Program;
use super::gateway::{Gateway, Spec};
use super::memory::{self, Soak, Streams};
use super::model::{Tokens, first_tokens};
use super::nginx::{Canned, Nginx};
use super::pass;
use super::peers;
use super::plan::Plan;
use super::session::{Session, tell};
use super::stage::{Helper, Stage};
use std::path::{Path, PathBuf};

/// The measures, as `--measure` names them.
pub(crate) const LATENCY: &str = "latency";
pub(crate) const SATURATION: &str = "saturation";
pub(crate) const BODIES: &str = "bodies";
pub(crate) const GAPS: &str = "gaps";
pub(crate) const SETTLED: &str = super::settled::MEASURE;
pub(crate) const STREAMS: &str = "streams";
pub(crate) const SOAK: &str = "soak";
pub(crate) const MODEL: &str = "model";
pub(crate) const MEASURES: [&str; 8] = [
    LATENCY, SATURATION, BODIES, GAPS, SETTLED, STREAMS, MODEL, SOAK,
];

/// Length of the body of a usual call.
pub(crate) const USUAL_BYTES: usize = 1024;

/// Connections that calls at a fixed rate are spread over.
const LATENCY_CONNECTIONS: usize = 32;

/// Streams side by side whose gaps are looked at, their events, and the distance of those.
const GAP_STREAMS: usize = 16;
const GAP_EVENTS: usize = 100;
const GAP_US: u64 = 5000;

/// Connections of the longer bodies.
const BODY_CONNECTIONS: usize = 16;

/// A model priced at nothing.
const NOTHING: &str = r#"{ prompt = "0", completion = "0", cache_read = "0" }"#;

/// What is wanted of a run.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) plan: Plan,
    /// Only these measures, unless empty.
    pub(crate) measures: Vec<String>,
    /// Only arms with one of these in their names, unless empty; and what they are compared with.
    pub(crate) arms: Vec<String>,
    /// The list of peers.
    pub(crate) peers: Option<PathBuf>,
    /// llama.cpp's server and its model.
    pub(crate) model: Option<(PathBuf, PathBuf)>,
}

/// What was found besides the lines.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) bare: Option<Bare>,
    pub(crate) books: Option<Books>,
    pub(crate) streams: Option<Streams>,
    pub(crate) soak: Option<Soak>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) nginx: String,
}

impl Wanted {
    fn measure(&self, name: &str) -> bool {
        self.measures.is_empty() || self.measures.iter().any(|wanted| wanted == name)
    }

    fn arm(&self, name: &str) -> bool {
        let compared = [DIRECT, NGINX].contains(&name);
        compared || self.arms.is_empty() || self.arms.iter().any(|part| name.contains(part))
    }

    fn any_arm(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.arm(name))
    }
}

/// What runs until the end of the run.
#[derive(Debug, Default)]
struct Running {
    nginx: Option<Nginx>,
    passing: Option<Helper>,
    gateways: Vec<Gateway>,
    peers: Vec<Program>,
}

/// Runs all that is wanted.
pub(crate) async fn run(session: &mut Session, wanted: &Wanted) -> Outcome<Found> {
    let plan = &wanted.plan;
    let mut found = Found {
        bare: Some(bare(plan.signatures)?),
        ..Found::default()
    };
    let mut running = Running::default();
    set_up(session, wanted, &mut running).await?;
    found.nginx = running
        .nginx
        .as_ref()
        .map(|nginx| nginx.version.clone())
        .unwrap_or_default();
    compare(session, wanted).await;
    // The first gateway is that of vouchers; nothing else was paid for there yet.
    let paid = session.lines.iter().any(|line| line.arm == VOUCHER);
    if let Some(gateway) = running.gateways.first().filter(|_| paid) {
        let looked = books(&session.stage, gateway).await;
        found.books = kept(session, "the books of the vouchers", looked);
    }
    if wanted.measure(SETTLED) {
        for settling in &plan.settled {
            session.settled(*settling).await;
        }
    }
    // What follows has gateways of its own; these would only take memory beside them.
    for gateway in running.gateways.drain(..) {
        gateway.stop().await;
    }
    drop(running);
    found.streams = match wanted.measure(STREAMS) {
        true => kept(
            session,
            STREAMS,
            memory::streams(&session.stage, plan.streams).await,
        ),
        false => None,
    };
    found.tokens = match (&wanted.model, wanted.measure(MODEL)) {
        (Some((server, model)), true) => {
            let tokens = first_tokens(&session.stage, (server, model), plan.questions).await;
            kept(session, MODEL, tokens)
        }
        (None, true) => {
            let why = "llama.cpp is not installed: scripts/setup --real-model";
            session.miss(MODEL, &why);
            None
        }
        _ => None,
    };
    found.soak = match wanted.measure(SOAK) {
        true => {
            let (calls, time) = plan.soak;
            kept(
                session,
                SOAK,
                memory::soak(&session.stage, calls, time).await,
            )
        }
        false => None,
    };
    Ok(found)
}

/// What came of a measure, or a note of why nothing did.
fn kept<T>(session: &mut Session, what: &str, found: Outcome<T>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(why) => {
            session.miss(what, &why);
            None
        }
    }
}

async fn compare(session: &mut Session, wanted: &Wanted) {
    let plan = &wanted.plan;
    let usual = Body::whole(USUAL_BYTES);
    if wanted.measure(LATENCY) {
        let arms = [DIRECT, NGINX, LIBRARIES, UNPAID, FREE, VOUCHER];
        let (times, rate) = plan.latency;
        let pace = (LATENCY_CONNECTIONS, rate);
        session.open(LATENCY, &arms, &usual, pace, times).await;
    }
    if wanted.measure(SATURATION) {
        // Those that are settled on a chain have a measure of their own.
        let arms = session.arms.iter().filter(|arm| arm.payee.is_none());
        let arms: Vec<String> = arms.map(|arm| arm.name.clone()).collect();
        let arms: Vec<&str> = arms.iter().map(String::as_str).collect();
        let (times, connections) = &plan.saturation;
        for connections in connections {
            session
                .closed(SATURATION, &arms, &usual, *connections, *times)
                .await;
        }
    }
    let arms = [DIRECT, NGINX, UNPAID, FREE, VOUCHER];
    if wanted.measure(BODIES) {
        let (times, sizes) = &plan.bodies;
        for bytes in sizes {
            let body = Body::whole(*bytes);
            session
                .closed(BODIES, &arms, &body, BODY_CONNECTIONS, *times)
                .await;
        }
    }
    if wanted.measure(GAPS) {
        let arms = [DIRECT, NGINX, FREE, VOUCHER];
        let body = Body::stream(GAP_EVENTS, GAP_US);
        session
            .closed(GAPS, &arms, &body, GAP_STREAMS, plan.gaps)
            .await;
    }
}

/// An arm of a gateway, by how it is paid.
type Paid = fn(&str, &Gateway) -> Arm;

/// Starts what is measured, and takes it in.
async fn set_up(session: &mut Session, wanted: &Wanted, running: &mut Running) -> Outcome<()> {
    let streams = Body::stream(GAP_EVENTS, GAP_US);
    let spec = |stage: &Stage, name| memory::spec(stage, name, &[&streams]);
    let usual = spec(&session.stage, "usual");
    let usual = session.stage.gateway(&usual).await?;
    let null = &session.stage.null;
    session
        .arms
        .push(Arm::plain(DIRECT, null.address, null.pid()));
    match nginx(&session.stage, &usual).await {
        Ok(nginx) => {
            let pid = Some(nginx.pid());
            session.arms.push(Arm::plain(NGINX, nginx.address, pid));
            session.arms.push(Arm {
                path: "/static".to_owned(),
                expect: 402,
                ..Arm::plain(NGINX_STATIC, nginx.address, pid)
            });
            running.nginx = Some(nginx);
        }
        Err(why) => session.miss("nginx", &why),
    }
    let upstream = session.stage.null.address;
    match pass::start(&session.stage.place, upstream).await {
        Ok(passing) => {
            let pid = passing.pid();
            session
                .arms
                .push(Arm::plain(LIBRARIES, passing.address, pid));
            running.passing = Some(passing);
        }
        Err(why) => session.miss(LIBRARIES, &why),
    }
    session.arms.push(Arm::unpaid(UNPAID, &usual));
    let voucher = Arm::by_voucher(VOUCHER, &session.stage, &usual).await;
    session.take(VOUCHER, voucher);
    session.arms.push(Arm::by_exact(SETTLED_AFTER, &usual));
    session.arms.push(Arm::by_upto(UPTO, &usual));
    session.arms.push(Arm::by_mpp(MPP, &usual));
    running.gateways.push(usual);
    let others = [
        (
            "together",
            "after",
            true,
            &[
                (SETTLED_AFTER_TOGETHER, Arm::by_exact as Paid),
                (UPTO_TOGETHER, Arm::by_upto),
                (MPP_TOGETHER, Arm::by_mpp),
            ][..],
        ),
        (
            "first",
            "on_first_byte",
            false,
            &[(ON_FIRST_BYTE, Arm::by_exact)],
        ),
    ];
    for (name, settle, together, arms) in others {
        let names: Vec<&str> = arms.iter().map(|arm| arm.0).collect();
        if !wanted.measure(SETTLED) || !wanted.any_arm(&names) {
            continue;
        }
        let spec = Spec {
            settle,
            together,
            ..spec(&session.stage, name)
        };
        let gateway = session.stage.gateway(&spec).await?;
        for (name, paid) in arms {
            session.arms.push(paid(name, &gateway));
        }
        running.gateways.push(gateway);
    }
    if wanted.arm(FREE) {
        let spec = Spec {
            price: NOTHING,
            ..spec(&session.stage, "free")
        };
        match free(&session.stage, &spec).await {
            Ok((gateway, arm)) => {
                session.arms.push(arm);
                running.gateways.push(gateway);
            }
            Err(why) => session.miss(FREE, &why),
        }
    }
    if let Some(list) = &wanted.peers {
        running.peers = peers(session, list, wanted).await;
    }
    session.arms.retain(|arm| wanted.arm(&arm.name));
    let names: Vec<&str> = session.arms.iter().map(|arm| arm.name.as_str()).collect();
    tell(&format!("arms: {}", names.join(", ")));
    Ok(())
}

async fn peers(session: &mut Session, list: &Path, wanted: &Wanted) -> Vec<Program> {
    match peers::take(session, list, &|name| wanted.arm(name)).await {
        Ok(running) => running,
        Err(why) => {
            session.miss("peers", &why);
            Vec::new()
        }
    }
}

/// nginx, whose own answer is the gateway's 402.
async fn nginx(stage: &Stage, gateway: &Gateway) -> Outcome<Nginx> {
    let url = format!("http://{}{PATH}", gateway.address);
    let (_, challenged) = stage
        .challenge(&url, &Body::whole(USUAL_BYTES), None)
        .await?;
    let canned = Canned {
        status: challenged.status,
        header: ("payment-required".to_owned(), challenged.header),
        body: challenged.body,
    };
    Nginx::start(stage.folder.path(), stage.null.address, Some(&canned)).await
}

/// A gateway whose models cost nothing, and which asks for no payment then.
async fn free(stage: &Stage, spec: &Spec) -> Outcome<(Gateway, Arm)> {
    let gateway = stage.gateway(spec).await?;
    let call = stage.http.post(format!("http://{}{PATH}", gateway.address));
    let call = call.header("content-type", "application/json");
    let answer = call.body(Body::whole(USUAL_BYTES).text()).send().await?;
    let status = answer.status();
    if !status.is_success() {
        let said = answer.text().await?;
        let said: String = said.chars().take(120).collect();
        return Err(format!("a model priced at nothing is answered {status}: {said}").into());
    }
    let arm = Arm::plain(FREE, gateway.address, Some(gateway.pid()));
    Ok((gateway, arm))
}
