use super::Failure;
use super::bill::print_bill;
use super::http::client;
use crate::protocol::receipt::verify;
use std::io::Read;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check a receipt: its signature, and every sum in it, from the receipt alone
    Verify {
        /// A file, a URL (http://…/v1/receipts/CALL), or - for standard input
        source: String,
        /// The address that must have signed it
        #[arg(long, value_name = "ADDRESS")]
        signer: Option<alloy::primitives::Address>,
        /// Say nothing but what is wrong
        #[arg(long, short)]
        quiet: bool,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    let Command::Verify {
        source,
        signer,
        quiet,
    } = command;
    let text = read(&source).await?;
    let verified = verify(&text).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
        Failure::other(format!("the receipt does not hold:\n{}", lines.join("\n")))
    })?;
    let receipt = &verified.receipt;
    if let Some(expected) = signer.filter(|expected| *expected != receipt.signer) {
        return Err(Failure::other(format!(
            "the receipt is signed by {}, not by {expected}",
            receipt.signer
        )));
    }
    if !quiet {
        print_bill(&receipt.body);
        println!(
            "verified: signed by {}, and every sum recomputed",
            receipt.signer
        );
    }
    Ok(())
}

async fn read(source: &str) -> Result<String, Failure> {
    if source.starts_with("http://") || source.starts_with("https://") {
        let answer = client()?
            .get(source)
            .send()
            .await
            .map_err(|error| Failure::other(format!("{source}: {error}")))?;
        let status = answer.status();
        let text = answer.text().await.map_err(Failure::other)?;
        if !status.is_success() {
            return Err(Failure::other(format!(
                "{source} answered {status}: {text}"
            )));
        }
        return Ok(text);
    }
    if source == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(Failure::other)?;
        return Ok(text);
    }
    std::fs::read_to_string(source).map_err(|error| Failure::other(format!("{source}: {error}")))
}
