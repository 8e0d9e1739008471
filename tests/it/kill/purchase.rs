//! One payment with its body, and what the client that holds it has seen.

use super::wallet::{Payment, Rail, Wallet};
use crate::harness::{Answer, PATIENCE, Payer, Stack};
use groat::protocol::payment_identifier::PaymentId;
use reqwest::StatusCode;

/// Why a channel may say no to a good voucher: its payer's books are behind, or a refund is under way.
const BEHIND: [&str; 5] = [
    "channel_busy",
    "channel_not_found",
    "cumulative_amount_mismatch",
    "cumulative_below_claimed",
    "cumulative_exceeds_balance",
];

/// A paid request that may be sent again and again.
#[derive(Debug, Clone)]
pub(super) struct Purchase {
    pub(super) rail: Rail,
    pub(super) body: String,
    /// The client's own name for it.
    name: Option<PaymentId>,
    payment: Payment,
    /// How often it was sent.
    pub(super) sends: usize,
    pub(super) seen: Seen,
    /// Every answer that came to its end, oldest first.
    pub(super) answers: Vec<Answer>,
}

/// What a client knows of its purchase.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// The connection broke before anything came, or the payment is to be signed anew.
    Nothing,
    /// The answer began, and the connection broke.
    Begun { call: String },
    /// The answer came to its end: the newest of them.
    Whole,
    /// The gateway has said that it has no answer: the `code` of its 409.
    Gone(String),
}

impl Purchase {
    /// `name` makes a voucher buy once, as any other payment does by itself.
    pub(super) async fn sign(wallet: &Wallet, rail: Rail, body: String, name: bool) -> Self {
        let id = hex::encode(rand::random::<[u8; 16]>());
        let name = name.then(|| id.parse().expect("a name"));
        Self {
            payment: wallet.sign(rail, &body, name.as_ref()).await,
            rail,
            body,
            name,
            sends: 0,
            seen: Seen::Nothing,
            answers: Vec::new(),
        }
    }

    /// Whether it buys once, whatever happens: a voucher without a name buys again when its answer is
    /// not kept.
    pub(super) fn buys_once(&self) -> bool {
        self.name.is_some() || !matches!(self.rail, Rail::Channel(_))
    }

    /// Sends it for the first time, to a gateway that may die meanwhile.
    pub(super) async fn send(mut self, payer: Payer) -> Self {
        self.sends += 1;
        let request = payer.post(&self.body);
        let request = request.header("payment-signature", &self.payment.header);
        let Ok(response) = request.send().await else {
            return self;
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await;
        let whole = text.is_ok();
        let answer = Answer {
            status,
            headers,
            body: text.unwrap_or_default(),
        };
        match (status, whole) {
            (StatusCode::OK, true) => {
                self.seen = Seen::Whole;
                self.answers.push(answer);
            }
            (StatusCode::OK, false) => {
                let call = answer.call();
                self.seen = Seen::Begun { call };
            }
            _ if self.is_behind(&answer).is_some() => {}
            _ => panic!("a good payment is refused: {answer:?}\n{self:?}"),
        }
        self
    }

    /// Takes what the answer says of the payment into the wallet's books.
    pub(super) fn heard_by(&self, wallet: &mut Wallet) {
        if let (Seen::Whole, Some(answer)) = (&self.seen, self.answers.last()) {
            wallet.hear(self.rail, &self.payment, answer);
        }
    }

    /// Sends it again after a restart: the same answer, or the reason why there is none; a voucher is
    /// signed anew until it is taken.
    pub(super) async fn send_again(&mut self, wallet: &mut Wallet, stack: &Stack) {
        let answered = async { while !self.is_answered(wallet, stack).await {} };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        assert!(answered.is_ok(), "neither an answer nor a reason: {self:?}");
        self.heard_by(wallet);
    }

    async fn is_answered(&mut self, wallet: &mut Wallet, stack: &Stack) -> bool {
        self.sends += 1;
        let sent = wallet.payer.send(&self.body, &self.payment.header).await;
        let answer = sent.expect("an answer");
        if let Some(number) = self.is_behind(&answer) {
            wallet.correct(number, &answer, stack).await;
            let name = self.name.as_ref();
            self.payment = wallet.sign(self.rail, &self.body, name).await;
            return false;
        }
        match answer.status {
            StatusCode::OK => self.take(answer),
            StatusCode::CONFLICT if self.buys_once() => self.give_up(&answer),
            _ => panic!("neither the answer nor a reason: {answer:?}\n{self:?}"),
        }
        true
    }

    fn take(&mut self, answer: Answer) {
        match &self.seen {
            _ if !self.buys_once() => {}
            Seen::Whole => {
                let before = self.answers.last().expect("an answer");
                assert_eq!(answer.body, before.body, "another answer for one payment");
            }
            Seen::Begun { call } => {
                assert_eq!(answer.call(), *call, "another call for one payment");
            }
            Seen::Nothing => {}
            Seen::Gone(code) => panic!("an answer after {code}: {answer:?}\n{self:?}"),
        }
        self.seen = Seen::Whole;
        self.answers.push(answer);
    }

    fn give_up(&mut self, answer: &Answer) {
        let code = answer.code();
        match (&self.seen, code.as_str()) {
            // The answer was sent, and the process died before it was kept.
            (Seen::Whole, "answer_expired") => {}
            (
                Seen::Nothing | Seen::Begun { .. } | Seen::Gone(_),
                "answer_expired" | "call_voided",
            ) => self.seen = Seen::Gone(code),
            (_, code) => panic!("{code} contradicts what was seen: {answer:?}\n{self:?}"),
        }
    }

    /// The channel whose payer is to read this refusal and sign anew.
    fn is_behind(&self, answer: &Answer) -> Option<usize> {
        let Rail::Channel(number) = self.rail else {
            return None;
        };
        (answer.status == StatusCode::PAYMENT_REQUIRED).then(|| {
            let reason = answer.reason();
            let known = BEHIND.iter().any(|known| reason.ends_with(known));
            assert!(known, "a good voucher is refused: {answer:?}\n{self:?}");
            number
        })
    }
}
