//! Whom to ask, in which order: what is known of the endpoints that may answer, put together for one call.

use super::quote::{Candidate, Quoted, QuotedCall};
use super::routing::Routing;
use crate::metering::Usage;
use crate::money::{AssetDecimals, Pusd, Units};
use crate::router::{
    Account, Choice, Conversation, Outlook, Pin, WHOLE, Warmth, conversation_cost, drawn,
    list_cost, misses, next_call, ranked,
};
use crate::stats::{Measured, Observation, Priced};
use std::time::{Duration, Instant};

/// What is expected of a call of which nothing is known.
const OUTPUT_AT_FIRST: u64 = 300;
const FOLLOWING_AT_FIRST: u64 = 4;
const REPEAT_AT_FIRST: u64 = 700;

/// A move must save so much of what staying would cost, in thousandths.
const STAY_UNLESS: u64 = 50;

/// One endpoint on one account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try<'a> {
    pub(super) by: &'a Candidate,
    pub(super) account: &'a Account,
}

/// What a call is expected to be like, and where it is warm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) conversation: Conversation,
    /// Where it is warm now.
    pin: Option<Pin>,
    outlook: Outlook,
}

impl Plan {
    /// What is expected of a request.
    pub(super) fn of(
        routing: &Routing,
        call: &QuotedCall,
        conversation: Conversation,
        now_ms: u64,
    ) -> Self {
        let pin = routing.pins.get(&conversation, now_ms);
        Self {
            conversation,
            pin,
            outlook: outlook(call, repeated_bytes(call.body()), pin.as_ref()),
        }
    }

    /// Every endpoint on every account, in the order they are tried.
    pub(super) fn tries<'a>(&self, routing: &Routing, call: &'a QuotedCall) -> Vec<Try<'a>> {
        let now = Instant::now();
        let draw = |below: u64| rand::random_range(0..below.max(1));
        let good =
            |by: &Candidate, account: &Account| routing.health.is_good(&by.endpoint, account, now);
        let choices: Vec<Choice> = call
            .candidates
            .iter()
            .map(|by| self.choice(routing, by, |account| good(by, account)))
            .collect();
        let order = ranked(&choices, &call.wanted, draw).into_iter();
        let candidates = order.filter_map(|at| call.candidates.get(at));
        let tries = candidates.flat_map(|by| {
            let by: &Candidate = by;
            let accounts = &by.endpoint.upstream.accounts;
            let known: Vec<(u64, bool)> = accounts
                .iter()
                .map(|account| (account.weight, good(by, account)))
                .collect();
            let mut order = match known.len() {
                1 => vec![0],
                _ => drawn(&known, draw),
            };
            // A cache belongs to an account.
            let warm = self.pin.filter(|pin| pin.endpoint == by.endpoint.id);
            let warm = warm.and_then(|pin| {
                let at = accounts
                    .iter()
                    .position(|account| account.id == pin.account)?;
                known.get(at).is_some_and(|(_, good)| *good).then_some(at)
            });
            if let Some(warm) = warm {
                order.retain(|at| *at != warm);
                order.insert(0, warm);
            }
            let accounts = order.into_iter().filter_map(move |at| accounts.get(at));
            accounts.map(move |account| Try { by, account })
        });
        tries.collect()
    }

    fn choice(&self, routing: &Routing, by: &Candidate, good: impl Fn(&Account) -> bool) -> Choice {
        let endpoint = &by.endpoint;
        let row = &endpoint.model.price;
        let (latency, throughput) = routing.measured.medians(endpoint.id);
        let (misses, quality) = routing.measured.look(endpoint.id, |known: &Measured| {
            let misses = misses(
                &by.wanted,
                |q| known.first_token.quantile(q),
                |q| known.speed.quantile(q),
            );
            (misses, known.cache_quality())
        });
        let warm = self.is_warm(by);
        let expected = conversation_cost(row, &self.outlook, Warmth { warm, quality });
        let stays = expected.saturating_mul(u128::from(WHOLE.saturating_sub(STAY_UNLESS)));
        Choice {
            rank: by.rank,
            place: by.wanted.place(endpoint),
            good: endpoint.upstream.accounts.iter().any(good),
            misses,
            expected: match warm {
                true => stays / u128::from(WHOLE),
                false => expected,
            },
            list: list_cost(row, &self.outlook),
            latency,
            throughput,
            busy: endpoint.busy(),
        }
    }

    fn is_warm(&self, by: &Candidate) -> bool {
        let warm = |pin: Pin| pin.endpoint == by.endpoint.id;
        self.pin.is_some_and(warm)
    }

    /// Takes note of an answer: where the conversation is warm from now on, and how the endpoint did.
    pub(super) fn learn(
        &self,
        routing: &Routing,
        call: &QuotedCall,
        (by, account): (&Candidate, &Account),
        answer: &Answered,
        now_ms: u64,
    ) {
        let endpoint = &by.endpoint;
        let usage = &answer.usage;
        let prompt = usage.prompt_total().unwrap_or(0);
        let output = usage.output_total().unwrap_or(0);
        let again = self
            .pin
            .filter(|pin| pin.endpoint == endpoint.id && pin.account == account.id);
        let observation = Observation {
            first_token: answer.first_token.as_secs_f64(),
            whole: answer.whole.as_secs_f64(),
            output,
            readable: again.map_or(0, |pin| pin.prompt.min(prompt)),
            read: usage.cache_read,
        };
        let complete = answer.complete.then_some(&observation);
        if let Some(observation) = complete {
            routing.measured.observe(endpoint.id, observation, now_ms);
        }
        routing
            .windows
            .answer(endpoint.id, complete, answer.priced, now_ms);
        let ttl = u64::try_from(endpoint.upstream.cache_ttl.as_millis()).unwrap_or(u64::MAX);
        let pin = Pin {
            endpoint: endpoint.id,
            account: account.id,
            expires_ms: now_ms.saturating_add(ttl),
            turns: 1,
            prompt,
            bytes: call.prompt_bytes,
            output,
            repeat: self.outlook.repeat,
        };
        routing
            .pins
            .set(self.conversation, Pin::after(self.pin, pin));
    }
}

/// What a request will probably cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// In the asset's atomic units; never above the ceiling.
    pub cost: Units,
    /// Prompt tokens that will probably be read from a cache.
    pub cached: u64,
}

/// What a request that nobody has paid for yet will probably cost at the endpoint that will probably be
/// asked: as warm as its own earlier answers let it be, since who will pay is not known. Nothing of any
/// other request goes into this.
pub(super) fn expected(
    routing: &Routing,
    quoted: &Quoted,
    body: &[u8],
    decimals: AssetDecimals,
) -> Option<Expected> {
    let outlook = outlook(quoted, repeated_bytes(body), None);
    let each = quoted.candidates.iter().map(|by| {
        let row = &by.endpoint.model.price;
        let quality = routing
            .measured
            .look(by.endpoint.id, Measured::cache_quality);
        let warmth = Warmth {
            warm: outlook.seen > 0,
            quality,
        };
        let place = by.wanted.place(&by.endpoint).unwrap_or(usize::MAX);
        let order = (by.rank, place, conversation_cost(row, &outlook, warmth));
        (order, next_call(row, &outlook, warmth))
    });
    let (_, (cost, cached)) = each.min()?;
    let cost = Pusd::from_pico(cost);
    let markup = cost.bps_ceil(quoted.markup_bps).ok()?;
    let cost = cost.plus(markup).ok()?.to_units_ceil(decimals).ok()?;
    Some(Expected {
        cost: cost.min(quoted.ceiling),
        cached,
    })
}

/// How much of a request stood in the one before it: what comes before the last answer in it.
fn repeated_bytes(body: &[u8]) -> u64 {
    let last = memchr::memmem::rfind(body, b"\"assistant\"");
    last.and_then(|at| u64::try_from(at).ok()).unwrap_or(0)
}

/// How an answer went.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) usage: Usage,
    pub(super) complete: bool,
    pub(super) priced: Priced,
    /// From the try that worked to its first token, and to its end.
    pub(super) first_token: Duration,
    pub(super) whole: Duration,
}

/// What is expected of a request: by the conversation so far, where there is one, else by what the
/// request holds of earlier answers.
fn outlook(call: &Quoted, repeated_bytes: u64, pin: Option<&Pin>) -> Outlook {
    let bytes = call.prompt_bytes;
    let (prompt_max, output_max) = call.tokens_max();
    let tokens = |bytes: u64| match pin {
        Some(pin) if pin.bytes > 0 && pin.prompt > 0 => {
            bytes.saturating_mul(pin.prompt) / pin.bytes
        }
        _ => bytes / crate::pricing::BYTES_PER_TOKEN,
    };
    let prompt = tokens(bytes).min(prompt_max);
    let repeated = tokens(repeated_bytes).min(prompt);
    let structural = match repeated {
        0 => REPEAT_AT_FIRST,
        _ => repeated.saturating_mul(WHOLE) / prompt.max(1),
    };
    match pin {
        Some(pin) => Outlook {
            prompt,
            seen: pin.prompt.min(prompt),
            output: pin.output.min(output_max),
            repeat: pin.repeat,
            following: pin.turns,
        },
        None => Outlook {
            prompt,
            seen: repeated,
            output: OUTPUT_AT_FIRST.min(output_max),
            repeat: structural,
            following: FOLLOWING_AT_FIRST,
        },
    }
}
