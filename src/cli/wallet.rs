//! `groat wallet`: what the paying wallet has, and its channels.

use super::{Failure, http::client, logging, pay};
use crate::config::{PayProtocol, RailKind, from_environment};
use crate::money::{AssetDecimals, Pusd, Units};
use crate::protocol::signature::Key;
use crate::wallet::{
    Asset, Chain, Channel, Deposits, Gateway, Limits, PeerKey, Purchase, Store, Wallet, WalletError,
};
use alloy::primitives::{B256, U256};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the wallet's address
    Address {
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Show tokens, what Permit2 may move of them, and native coin for gas
    Balance {
        #[command(flatten)]
        key: KeyArgs,
        /// A node of the chain that is meant
        #[arg(long, value_name = "URL")]
        rpc_url: String,
    },
    /// List the channels, with what was charged by receipts that hold
    Channels {
        #[command(flatten)]
        wallet: WalletArgs,
    },
    /// Open a channel: a deposit comes with a call, so this pays for the smallest one there is
    Open(FillArgs),
    /// Bring more into an open channel, along with the smallest call there is
    TopUp(FillArgs),
    /// Get back what is left of a channel
    Close(CloseArgs),
    /// Let Permit2 move the wallet's tokens, by a transaction that costs gas
    Approve {
        #[command(flatten)]
        key: KeyArgs,
        /// A node of the chain that is meant
        #[arg(long, value_name = "URL")]
        rpc_url: String,
        /// The token, where it is not the chain's USDC
        #[arg(long, value_name = "ADDRESS")]
        asset: Option<Asset>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct KeyArgs {
    /// A file with the wallet's private key in hex
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// What every command that pays takes.
#[derive(Debug, clap::Args)]
pub(super) struct WalletArgs {
    /// The gateway
    #[arg(long, default_value = "http://127.0.0.1:4021")]
    url: String,
    #[command(flatten)]
    key: KeyArgs,
    /// The most that may be signed for at once, for a call or a deposit, in USD
    #[arg(long, value_name = "USD", default_value = "1.00")]
    max: String,
    /// A node of the chain that is paid on: for allowances, permits, and the state of channels
    #[arg(long, value_name = "URL")]
    rpc_url: Option<String>,
    /// The file with payees, receipt signers and channels (in XDG_STATE_HOME unless said)
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// A dollar stablecoin besides the known ones: ADDRESS, or ADDRESS:DECIMALS when not 6
    #[arg(long, value_name = "ADDRESS")]
    asset: Vec<Asset>,
    /// Take a payee, or a signer of receipts, that is not the one of last time
    #[arg(long)]
    accept_payee: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct FillArgs {
    #[command(flatten)]
    wallet: WalletArgs,
    /// The model of the call that the deposit comes with
    #[arg(short, long)]
    model: String,
    /// How much to deposit (5 calls' worth, or what the gateway asks)
    #[arg(long, value_name = "USD")]
    deposit: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CloseArgs {
    #[command(flatten)]
    wallet: WalletArgs,
    /// The channel, where there are several
    #[arg(long, value_name = "ID")]
    channel: Option<B256>,
    /// Do not ask the gateway: announce a withdrawal on chain, which takes its delay and gas
    #[arg(long, conflicts_with = "finalize")]
    withdraw: bool,
    /// Take a withdrawal that was announced and whose delay is over; costs gas
    #[arg(long)]
    finalize: bool,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    logging::start("warn");
    match command {
        Command::Address { key } => {
            println!("{}", key.key()?.address());
            Ok(())
        }
        Command::Balance { key, rpc_url } => balance(&key.key()?, &rpc_url).await,
        Command::Channels { wallet } => channels(&wallet.wallet()?).await,
        Command::Open(args) => fill(args, false).await,
        Command::TopUp(args) => fill(args, true).await,
        Command::Close(args) => close(args).await,
        Command::Approve {
            key,
            rpc_url,
            asset,
        } => approve(&key.key()?, &rpc_url, asset).await,
    }
}

async fn balance(key: &Key, rpc_url: &str) -> Result<(), Failure> {
    let chain = Chain::connect_any(rpc_url).await.map_err(Failure::other)?;
    let (account, network) = (key.address(), chain.network());
    println!("{account} on {network}");
    for asset in Asset::all(network) {
        let tokens = chain.tokens(asset.address, account).await;
        let tokens = tokens.map_err(Failure::other)?;
        let allowed = chain.allowance(asset.address, account).await;
        let allowed = allowed.map_err(Failure::other)?;
        println!(
            "  {:<8} {}, of which Permit2 may move {}",
            asset.symbol,
            whole(tokens, asset.decimals),
            whole(allowed.min(tokens), asset.decimals)
        );
    }
    let native = chain.native(account).await.map_err(Failure::other)?;
    let ether = AssetDecimals::try_from(18).map_err(Failure::other)?;
    println!("  {:<8} {}", "gas", whole(native, ether));
    Ok(())
}

async fn channels(wallet: &Wallet) -> Result<(), Failure> {
    let state = wallet.store.read().map_err(Failure::other)?;
    let chain = match &wallet.rpc_url {
        None => None,
        Some(url) => Some(Chain::connect_any(url).await.map_err(Failure::other)?),
    };
    let mut count = 0_usize;
    for peer in state.peers_of(wallet.key.address()) {
        for channel in &peer.channels {
            print_channel(&peer.key, channel, wallet);
            if let Some(chain) = chain.as_ref().filter(|c| c.network() == peer.key.network) {
                let found = chain.channel(channel.id, &channel.config).await;
                let found = found.map_err(Failure::other)?;
                let decimals = decimals(&peer.key, channel, wallet);
                println!(
                    "  on chain  {} deposited, {} claimed",
                    found.balance.asset_text(decimals),
                    found.claimed.asset_text(decimals)
                );
            }
            count += 1;
        }
    }
    if count == 0 {
        println!("no channels; groat wallet open opens one");
    }
    Ok(())
}

fn print_channel(peer: &PeerKey, channel: &Channel, wallet: &Wallet) {
    let decimals = decimals(peer, channel, wallet);
    let text = |amount: Units| amount.asset_text(decimals);
    println!("{} with {} on {}", channel.id, peer.origin, peer.network);
    println!(
        "  {} deposited, {} charged, {} left",
        text(channel.book.balance),
        text(channel.book.charged),
        text(channel.left())
    );
    if !channel.unseen.is_zero() {
        println!(
            "  up to {} more may have been charged, by calls whose answers were lost",
            text(channel.unseen)
        );
    }
    if let Some(from) = channel.withdrawal_from {
        println!(
            "  a withdrawal is under way and can be finalised from {}",
            time(from)
        );
    }
    if let Some(why) = &channel.blocked {
        println!("  given up: {why}");
    }
}

async fn fill(args: FillArgs, top_up: bool) -> Result<(), Failure> {
    let wallet = args.wallet.wallet()?;
    let state = wallet.store.read().map_err(Failure::other)?;
    let origin = wallet.gateway.origin();
    let open = state
        .peers_of(wallet.key.address())
        .filter(|peer| peer.key.origin == origin)
        .any(|peer| peer.channels.iter().any(|c| !c.left().is_zero()));
    if open != top_up {
        return Err(Failure::other(if top_up {
            "there is no open channel with this gateway: groat wallet open opens one"
        } else {
            "there is an open channel with this gateway: groat wallet top-up brings more into it"
        }));
    }
    let body = json!({
        "model": args.model,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 1,
    });
    let deposits = match &args.deposit {
        Some(amount) => Deposits::Of(usd(amount, "--deposit")?),
        None if top_up => return Err(Failure::other("say how much to bring in: --deposit USD")),
        None => Deposits::AsNeeded,
    };
    let purchase = Purchase {
        body: body.to_string().into(),
        model: args.model,
        deposits,
    };
    pay::buy(
        &wallet,
        &purchase,
        PayProtocol::X402,
        Some(RailKind::Channel),
    )
    .await?;
    channels(&wallet).await
}

async fn close(args: CloseArgs) -> Result<(), Failure> {
    let wallet = args.wallet.wallet()?;
    if args.withdraw {
        let (transaction, from) = wallet.withdraw(args.channel).await?;
        println!(
            "announced in {transaction}; from {} on, groat wallet close --finalize takes it",
            time(from)
        );
    } else if args.finalize {
        println!("taken back in {}", wallet.finalize(args.channel).await?);
    } else {
        let refunded = wallet.close(args.channel).await.map_err(|error| {
            Failure::other(format!(
                "{error}\nIf the gateway will not, --withdraw takes back on chain what was not charged, after the channel's delay."
            ))
        })?;
        let amount = refunded
            .amount
            .map(|amount| format!("{amount} atomic units "));
        println!(
            "refunded {}from {} in {}",
            amount.unwrap_or_default(),
            refunded.id,
            refunded.transaction
        );
    }
    Ok(())
}

async fn approve(key: &Key, rpc_url: &str, asset: Option<Asset>) -> Result<(), Failure> {
    let chain = Chain::connect_any(rpc_url).await.map_err(Failure::other)?;
    let asset = asset.or_else(|| Asset::all(chain.network()).next());
    let asset = asset.ok_or_else(|| Failure::other("say which token: --asset ADDRESS"))?;
    let transaction = chain.approve(key, asset.address).await;
    println!(
        "approved in {}: Permit2 may move this wallet's {}",
        transaction.map_err(Failure::other)?,
        asset.symbol
    );
    Ok(())
}

impl KeyArgs {
    fn key(&self) -> Result<Key, Failure> {
        let text = match &self.key_file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?,
            None => from_environment("GROAT_WALLET_KEY").ok_or_else(|| {
                Failure::other("no wallet: give --key-file, or set GROAT_WALLET_KEY")
            })?,
        };
        Key::from_hex(text.trim())
            .map_err(|_| Failure::other("the wallet's key must be 32 bytes in hex"))
    }
}

impl WalletArgs {
    /// The wallet that these arguments describe.
    pub(super) fn wallet(&self) -> Result<Wallet, Failure> {
        Ok(Wallet {
            key: self.key.key()?,
            gateway: Gateway::new(client()?, &self.url).map_err(Failure::other)?,
            store: Store::new(self.state_file()?),
            rpc_url: self.rpc_url.clone(),
            limits: Limits {
                max: usd(&self.max, "--max")?,
                assets: self.asset.clone(),
                accept_payee: self.accept_payee,
            },
            tell: |line| eprintln!("{line}"),
        })
    }

    fn state_file(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.state {
            return Ok(path.clone());
        }
        let folder = from_environment("XDG_STATE_HOME").map(PathBuf::from);
        let home = || Some(PathBuf::from(from_environment("HOME")?).join(".local/state"));
        let folder = folder.filter(|folder| folder.is_absolute()).or_else(home);
        let folder = folder.ok_or_else(|| Failure::other("no HOME: say --state FILE"))?;
        Ok(folder.join("groat").join("wallet.json"))
    }
}

pub(super) fn usd(text: &str, name: &str) -> Result<Pusd, Failure> {
    Pusd::from_usd_text(text).map_err(|error| Failure::other(format!("{name}: {error}")))
}

fn decimals(peer: &PeerKey, channel: &Channel, wallet: &Wallet) -> AssetDecimals {
    let allowed = wallet.limits.assets.iter().copied();
    Asset::known(peer.network, channel.config.token)
        .or_else(|| {
            allowed
                .into_iter()
                .find(|a| a.address == channel.config.token)
        })
        .map_or(AssetDecimals::USDC, |asset| asset.decimals)
}

/// An amount of atomic units in whole ones; one that no token has enough of is "any amount".
fn whole(amount: U256, decimals: AssetDecimals) -> String {
    u128::try_from(amount).map_or_else(
        |_| "any amount".to_owned(),
        |amount| Units::from_atomic(amount).asset_text(decimals),
    )
}

fn time(unix_s: u64) -> String {
    i64::try_from(unix_s)
        .ok()
        .and_then(|s| jiff::Timestamp::from_second(s).ok())
        .map_or_else(|| unix_s.to_string(), |time| time.to_string())
}

impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        Self::other(error)
    }
}
