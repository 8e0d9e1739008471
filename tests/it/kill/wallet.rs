//! The paying side of the battery: one key, all rails, and several channels side by side with the
//! books that a client keeps of each.

use crate::channels::client::{
    Client, Signed, challenge, offer as channel_offer, terms, told, units,
};
use crate::harness::{Answer, Payer, Stack};
use alloy::primitives::B256;
use groat::chain::ChannelState;
use groat::money::Units;
use groat::protocol::addresses::BATCH_SETTLEMENT;
use groat::protocol::channel::Book;
use groat::protocol::payment_identifier::{KEY, PaymentId, echo_with_id};
use groat::protocol::x402::{PaymentRequired, Requirements};

/// How many channels the payer has.
pub(super) const CHANNELS: usize = 3;

/// What one deposit brings: a few calls, so that top-ups are frequent.
const DEPOSIT: u128 = 500;

/// How a purchase is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rail {
    Exact,
    ExactPermit2,
    Upto,
    /// Out of the payer's channel of this number.
    Channel(usize),
}

impl Rail {
    /// Those that settle each call by itself.
    pub(super) const SETTLED: [Self; 3] = [Self::Exact, Self::ExactPermit2, Self::Upto];

    fn offer(self, required: &PaymentRequired) -> &Requirements {
        let wanted = match self {
            Self::Exact => ("exact", None),
            Self::ExactPermit2 => ("exact", Some("permit2")),
            Self::Upto => ("upto", Some("permit2")),
            Self::Channel(_) => return channel_offer(required),
        };
        let mut offers = required.accepts.iter();
        let found = offers.find(|offer| {
            (
                offer.scheme.as_str(),
                offer.extra_text("assetTransferMethod"),
            ) == wanted
        });
        found.unwrap_or_else(|| panic!("no {self:?} in {required:?}"))
    }
}

/// A payment as it is sent, and what the client needs to read its answer.
#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) header: String,
    voucher: Option<Signed>,
}

/// The payer.
#[derive(Debug)]
pub(super) struct Wallet {
    pub(super) payer: Payer,
    pub(super) channels: Vec<Channel>,
}

/// One of its channels.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) client: Client,
    pub(super) id: B256,
    /// The most that an answer ever said it was charged.
    pub(super) told: Units,
}

impl Wallet {
    pub(super) async fn of(stack: &Stack) -> Self {
        let mut channels = Vec::new();
        for number in 0..CHANNELS {
            let mut client = Client::new(stack);
            client.salt = B256::with_last_byte(u8::try_from(number).expect("few channels"));
            client.deposit = units(DEPOSIT);
            let id = client.channel().await;
            channels.push(Channel {
                client,
                id,
                told: units(0),
            });
        }
        Self {
            payer: stack.payer.clone(),
            channels,
        }
    }

    /// Signs for a body; a name makes the payment buy once, on every rail.
    pub(super) async fn sign(&self, rail: Rail, body: &str, name: Option<&PaymentId>) -> Payment {
        let mut required = self.payer.challenge(body).await;
        if let Some(name) = name {
            let extensions = required.extensions.as_mut().expect("extensions");
            let advertised = extensions.get_mut(KEY).expect("it is advertised");
            *advertised = echo_with_id(advertised, name);
        }
        let offer = rail.offer(&required);
        let (header, voucher) = match rail {
            Rail::Exact => {
                let authorization = self.payer.authorization(offer);
                (self.payer.header_of(&required, &authorization), None)
            }
            Rail::ExactPermit2 | Rail::Upto => (self.payer.permit(&required, offer), None),
            Rail::Channel(number) => {
                let signed = self.channels[number].client.sign_for(&required);
                (signed.header.clone(), Some(signed))
            }
        };
        Payment { header, voucher }
    }

    /// Takes what an answer says of its channel into that channel's books.
    pub(super) fn hear(&mut self, rail: Rail, payment: &Payment, answer: &Answer) {
        let Rail::Channel(number) = rail else { return };
        let channel = &mut self.channels[number];
        let signed = payment.voucher.as_ref().expect("a voucher");
        channel.client.read(signed, answer);
        let extra = told(answer).extra.expect("an extra");
        let cumulative = extra["channelState"]["chargedCumulativeAmount"].as_str();
        let cumulative: Units = cumulative.and_then(|text| text.parse().ok()).expect("one");
        channel.told = channel.told.max(cumulative);
    }

    /// Takes the word of a refusal, and the chain's, for how a channel stands.
    pub(super) async fn correct(&mut self, number: usize, refused: &Answer, stack: &Stack) {
        let channel = &mut self.channels[number];
        let state = on_chain(stack, &[channel.id]).await[0];
        let (balance, claimed) = (units(state.balance), units(state.total_claimed));
        channel.client.book.balance = balance;
        let required = challenge(refused);
        let offer = channel_offer(&required);
        let extra = offer.extra.clone().expect("an extra");
        if !extra.contains_key("channelState") {
            return;
        }
        let terms = terms(offer);
        let config = channel.client.config(&terms);
        let book = Book::corrected(&extra, &config, terms.domain(), balance, claimed);
        let book = book.unwrap_or_else(|| panic!("it does not prove itself: {extra:?}"));
        let proven = extra.contains_key("voucherState");
        assert!(
            !proven || book.charged >= channel.told,
            "it was told more than it is said to have been charged: {channel:?}, {extra:?}"
        );
        channel.client.book = book;
    }

    /// Asks the chain what the channels hold.
    pub(super) async fn look(&mut self, stack: &Stack) {
        let states = on_chain(stack, &self.ids()).await;
        for (channel, state) in self.channels.iter_mut().zip(states) {
            channel.client.book.balance = units(state.balance);
        }
    }

    pub(super) fn ids(&self) -> Vec<B256> {
        self.channels.iter().map(|channel| channel.id).collect()
    }
}

/// Channels as their contract has them.
pub(super) async fn on_chain(stack: &Stack, ids: &[B256]) -> Vec<ChannelState> {
    let read = stack.chain.rpc.channels(BATCH_SETTLEMENT, ids).await;
    read.expect("an answer").states
}
