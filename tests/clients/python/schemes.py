"""The schemes of `x402` that a program here pays by, as the environment names them."""

import os

from x402 import SchemeRegistration, x402ClientConfig
from x402.mechanisms.evm import EthAccountSigner, EthAccountSignerWithRPC
from x402.mechanisms.evm.batch_settlement.client.scheme import BatchSettlementEvmScheme
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.mechanisms.evm.upto import UptoEvmScheme

from call import ACCOUNT


def signer() -> EthAccountSigner:
    """The payer, who can read the chain when there is an RPC."""
    rpc = os.environ.get("RPC")
    return EthAccountSignerWithRPC(ACCOUNT, rpc) if rpc else EthAccountSigner(ACCOUNT)


def config() -> x402ClientConfig:
    """The V2 schemes named in SCHEMES, in that order; spend controls as they come."""
    known = {
        "exact": ExactEvmScheme,
        "upto": UptoEvmScheme,
        "batch-settlement": BatchSettlementEvmScheme,
    }
    names = os.environ.get("SCHEMES", "exact").split(",")
    return x402ClientConfig(
        schemes=[SchemeRegistration(network="eip155:*", client=known[name](signer())) for name in names]
    )
