//! What an owner signs for Permit2, and the calls that are made of it.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{Eip712Domain, SolCall, SolStruct, eip712_domain};
use groat::chain::dev::CHAIN_ID;

/// Where Permit2 stands on every chain, and where both codes stand in these tests.
pub(super) const PERMIT2: Address =
    alloy::primitives::address!("0x000000000022D473030F116dDEE9F6B43aC78BA3");

/// The order of secp256k1: `ORDER - s` with the other parity is as good a signature as `s`.
const ORDER: U256 = U256::from_limbs([
    0xBFD2_5E8C_D036_4141,
    0xBAAE_DCE6_AF48_A03B,
    0xFFFF_FFFF_FFFF_FFFE,
    0xFFFF_FFFF_FFFF_FFFF,
]);

/// What a spender appends to Permit2's type for its own witness.
const WITNESS_REST: &str =
    "Witness witness)TokenPermissions(address token,uint256 amount)Witness(uint256 word)";

alloy::sol! {
    #[derive(Debug)]
    interface IPermit2 {
        struct TokenPermissions { address token; uint256 amount; }
        struct PermitTransferFrom { TokenPermissions permitted; uint256 nonce; uint256 deadline; }
        struct PermitBatchTransferFrom { TokenPermissions[] permitted; uint256 nonce; uint256 deadline; }
        struct SignatureTransferDetails { address to; uint256 requestedAmount; }
        struct PermitDetails { address token; uint160 amount; uint48 expiration; uint48 nonce; }
        struct PermitSingle { PermitDetails details; address spender; uint256 sigDeadline; }
        struct PermitBatch { PermitDetails[] details; address spender; uint256 sigDeadline; }
        struct AllowanceTransferDetails { address from; address to; uint160 amount; address token; }
        struct TokenSpenderPair { address token; address spender; }

        error SignatureExpired(uint256 signatureDeadline);
        error InvalidNonce();
        error InvalidAmount(uint256 maxAmount);
        error LengthMismatch();
        error InvalidSignatureLength();
        error InvalidSignature();
        error InvalidSigner();
        error InvalidContractSignature();
        error AllowanceExpired(uint256 deadline);
        error InsufficientAllowance(uint256 amount);
        error ExcessiveInvalidation();

        function DOMAIN_SEPARATOR() external view returns (bytes32);
        function nonceBitmap(address owner, uint256 word) external view returns (uint256);
        function permitTransferFrom(PermitTransferFrom permit, SignatureTransferDetails transferDetails, address owner, bytes signature) external;
        function permitTransferFrom(PermitBatchTransferFrom permit, SignatureTransferDetails[] transferDetails, address owner, bytes signature) external;
        function permitWitnessTransferFrom(PermitTransferFrom permit, SignatureTransferDetails transferDetails, address owner, bytes32 witness, string witnessTypeString, bytes signature) external;
        function permitWitnessTransferFrom(PermitBatchTransferFrom permit, SignatureTransferDetails[] transferDetails, address owner, bytes32 witness, string witnessTypeString, bytes signature) external;
        function invalidateUnorderedNonces(uint256 wordPos, uint256 mask) external;
        function allowance(address owner, address token, address spender) external view returns (uint160 amount, uint48 expiration, uint48 nonce);
        function approve(address token, address spender, uint160 amount, uint48 expiration) external;
        function permit(address owner, PermitSingle permitSingle, bytes signature) external;
        function permit(address owner, PermitBatch permitBatch, bytes signature) external;
        function transferFrom(address from, address to, uint160 amount, address token) external;
        function transferFrom(AllowanceTransferDetails[] transferDetails) external;
        function lockdown(TokenSpenderPair[] approvals) external;
        function invalidateNonces(address token, address spender, uint48 newNonce) external;
    }
}

/// The types as they are signed: other than in the call, the spender is one of their members.
mod signed {
    alloy::sol! {
        struct TokenPermissions { address token; uint256 amount; }
        struct Witness { uint256 word; }
        struct PermitTransferFrom { TokenPermissions permitted; address spender; uint256 nonce; uint256 deadline; }
        struct PermitBatchTransferFrom { TokenPermissions[] permitted; address spender; uint256 nonce; uint256 deadline; }
        struct PermitWitnessTransferFrom { TokenPermissions permitted; address spender; uint256 nonce; uint256 deadline; Witness witness; }
        struct PermitBatchWitnessTransferFrom { TokenPermissions[] permitted; address spender; uint256 nonce; uint256 deadline; Witness witness; }
    }
}

/// A transfer by signature, for any of the four ways to ask for it.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) permitted: Vec<(Address, U256)>,
    pub(super) batch: bool,
    pub(super) witness: Option<u64>,
    pub(super) spender: Address,
    pub(super) nonce: U256,
    pub(super) deadline: u64,
}

impl Order {
    /// The word that its owner signs.
    pub(super) fn digest(&self) -> B256 {
        let mut permitted: Vec<_> = self
            .permitted
            .iter()
            .map(|&(token, amount)| signed::TokenPermissions { token, amount })
            .collect();
        let (spender, nonce, deadline) = (self.spender, self.nonce, U256::from(self.deadline));
        let witness = self.witness.map(|word| signed::Witness {
            word: U256::from(word),
        });
        let domain = domain();
        match (self.batch, witness) {
            (false, None) => signed::PermitTransferFrom {
                permitted: permitted.remove(0),
                spender,
                nonce,
                deadline,
            }
            .eip712_signing_hash(&domain),
            (true, None) => signed::PermitBatchTransferFrom {
                permitted,
                spender,
                nonce,
                deadline,
            }
            .eip712_signing_hash(&domain),
            (false, Some(witness)) => signed::PermitWitnessTransferFrom {
                permitted: permitted.remove(0),
                spender,
                nonce,
                deadline,
                witness,
            }
            .eip712_signing_hash(&domain),
            (true, Some(witness)) => signed::PermitBatchWitnessTransferFrom {
                permitted,
                spender,
                nonce,
                deadline,
                witness,
            }
            .eip712_signing_hash(&domain),
        }
    }

    /// The spender's call: what it wants of what is permitted, one for one.
    pub(super) fn call(
        &self,
        wanted: &[(Address, U256)],
        owner: Address,
        signature: Vec<u8>,
    ) -> Bytes {
        let mut permitted: Vec<_> = self
            .permitted
            .iter()
            .map(|&(token, amount)| IPermit2::TokenPermissions { token, amount })
            .collect();
        let (nonce, deadline) = (self.nonce, U256::from(self.deadline));
        let mut details: Vec<_> = wanted
            .iter()
            .map(|&(to, amount)| IPermit2::SignatureTransferDetails {
                to,
                requestedAmount: amount,
            })
            .collect();
        let signature = Bytes::from(signature);
        let witness = self.witness.map(|word| {
            let word = U256::from(word);
            signed::Witness { word }.eip712_hash_struct()
        });
        let witness_type = WITNESS_REST.to_owned();
        if self.batch {
            let permit = IPermit2::PermitBatchTransferFrom {
                permitted,
                nonce,
                deadline,
            };
            return match witness {
                None => {
                    IPermit2::permitTransferFrom_1Call::from((permit, details, owner, signature))
                        .abi_encode()
                }
                Some(witness) => IPermit2::permitWitnessTransferFrom_1Call::from((
                    permit,
                    details,
                    owner,
                    witness,
                    witness_type,
                    signature,
                ))
                .abi_encode(),
            }
            .into();
        }
        let permit = IPermit2::PermitTransferFrom {
            permitted: permitted.remove(0),
            nonce,
            deadline,
        };
        let details = details.remove(0);
        match witness {
            None => IPermit2::permitTransferFrom_0Call::from((permit, details, owner, signature))
                .abi_encode(),
            Some(witness) => IPermit2::permitWitnessTransferFrom_0Call::from((
                permit,
                details,
                owner,
                witness,
                witness_type,
                signature,
            ))
            .abi_encode(),
        }
        .into()
    }
}

/// The word that an owner signs for allowances.
pub(super) fn digest(permit: &impl SolStruct) -> B256 {
    permit.eip712_signing_hash(&domain())
}

/// How the same signature can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    /// EIP-2098.
    Compact,
    /// With the greater `s`.
    HighS,
    /// One byte longer.
    Long,
    /// Without its last bytes.
    Short,
    Empty,
    /// With a `v` that no key makes.
    StrangeV,
}

/// A key's signature over a digest, written in some form.
pub(super) fn sign(key: &PrivateKeySigner, digest: B256, form: Form) -> Vec<u8> {
    let signature = key.sign_hash_sync(&digest).expect("a signature");
    let (r, s, odd) = (signature.r(), signature.s(), signature.v());
    let written =
        |s: U256, v: u8| [&r.to_be_bytes::<32>()[..], &s.to_be_bytes::<32>(), &[v]].concat();
    let mut bytes = written(s, 27 + u8::from(odd));
    match form {
        Form::Whole => {}
        Form::Compact => {
            bytes = written(s | (U256::from(odd) << 255), 0);
            bytes.truncate(64);
        }
        Form::HighS => bytes = written(ORDER - s, 28 - u8::from(odd)),
        Form::Long => bytes.push(0),
        Form::Short => bytes.truncate(60),
        Form::Empty => bytes.clear(),
        Form::StrangeV => bytes = written(s, u8::from(odd)),
    }
    bytes
}

fn domain() -> Eip712Domain {
    eip712_domain! {
        name: "Permit2",
        chain_id: CHAIN_ID,
        verifying_contract: PERMIT2,
    }
}
