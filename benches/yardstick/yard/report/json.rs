//! A run as JSON.

use super::Results;
use super::figures::{cpu_us, written};
use super::goals::goals;
use crate::yard::histogram::Durations;
use crate::yard::model::Ways;
use crate::yard::session::Line;
use serde_json::{Map, Value, json};

/// All of it.
pub(crate) fn json(results: &Results) -> Value {
    let goals: Vec<Value> = goals(results)
        .iter()
        .map(|goal| {
            json!({"what": goal.what, "goal": goal.goal, "measured": goal.measured, "reached": goal.reached})
        })
        .collect();
    let not_run: Vec<Value> = results
        .not_run
        .iter()
        .map(|missed| json!({"what": missed.what, "why": missed.why}))
        .collect();
    let peers: Map<String, Value> = results
        .peers
        .iter()
        .map(|peer| (peer.name.clone(), peer.note.clone().into()))
        .collect();
    json!({
        "plan": results.plan,
        "machine": results.machine.json(),
        "peers": peers,
        "goals": goals,
        "not_run": not_run,
        "signature": results.bare.map(|bare| json!({
            "k256_recovery_us": round(bare.k256_us),
            "libsecp256k1_recovery_us": round(bare.libsecp256k1_us),
            "voucher_check_us": round(bare.voucher_us),
        })),
        "vouchers": results.books.map(|books| json!({
            "calls": books.calls,
            "ledger_entries": books.entries,
            "channels": books.channels,
            "claim_transactions": books.claimed.transactions,
            "claim_gas": books.claimed.gas,
        })),
        "streams": results.streams.map(|streams| json!({
            "wanted": streams.wanted,
            "open": streams.open,
            "rss_at_rest": streams.rss_at_rest,
            "rss_before": streams.rss_before,
            "rss_open": streams.rss_open,
            "bytes_each": round(streams.each()),
        })),
        "soak": results.soak.as_ref().map(|soak| {
            let steps = soak.steps.iter();
            let steps: Vec<Value> = steps
                .map(|(calls, rss, disk)| json!({"calls": calls, "rss": rss, "disk": disk}))
                .collect();
            steps
        }),
        "first_token": results.tokens.as_ref().map(|tokens| {
            let ways = |ways: &Ways| {
                let ways = ways.0.iter();
                let ways: Map<String, Value> = ways
                    .map(|(arm, found)| (arm.clone(), durations(found)))
                    .collect();
                ways
            };
            json!({"cached": ways(&tokens.cached), "afresh": ways(&tokens.afresh)})
        }),
        "ledger_events_a_second": results.ledger_events,
        "runs": results.lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn line(line: &Line) -> Value {
    let tally = &line.tally;
    let processes: Map<String, Value> = tally
        .used
        .keys()
        .map(|process| {
            let used = json!({
                "cpu_us_a_call": cpu_us(line, process).map(round),
                "bytes_written_a_call": written(line, process).map(round),
            });
            (process.clone(), used)
        })
        .collect();
    let thousands = tally.answered as f64 / 1000.0;
    json!({
        "measure": line.measure,
        "arm": line.arm,
        "connections": line.connections,
        "body_bytes": line.body.bytes,
        "stream": line.body.stream.then_some(&line.body.model),
        "calls": tally.in_time,
        "seconds": round(tally.seconds),
        "calls_a_second": round(tally.rate()),
        "calls_a_second_by_round": line.rates.iter().copied().map(round).collect::<Vec<_>>(),
        "first_byte": durations(&tally.first),
        "last_byte": durations(&tally.last),
        "gap": line.body.stream.then(|| durations(&tally.gaps)),
        "processes": processes,
        "mined_a_thousand_calls": (line.mined.transactions > 0).then(|| json!({
            "transactions": round(line.mined.transactions as f64 / thousands),
            "gas": round(line.mined.gas as f64 / thousands),
        })),
    })
}

/// In microseconds.
fn durations(durations: &Durations) -> Value {
    let at = |share| durations.at(share).map(round);
    json!({
        "p50_us": at(0.5),
        "p90_us": at(0.9),
        "p99_us": at(0.99),
        "max_us": at(1.0),
    })
}

/// Two digits behind the point are more than a measurement has.
fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}
