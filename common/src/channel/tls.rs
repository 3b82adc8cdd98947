//! TLS configuration: one version, three ciphers, one kind of key, nothing to negotiate down to.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, PeerMisbehaved, ServerConfig, SignatureAlgorithm, SignatureScheme,
};

use super::Purpose;
use crate::id::PeerId;
use crate::identity::{self, Identity};

/// DER of an Ed25519 SubjectPublicKeyInfo up to the 32 key bytes (RFC 8410, section 4). Nothing else
/// is accepted as a key, so a key has one encoding.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];

/// What both configurations share.
#[derive(Clone)]
pub(super) struct Keys {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
}

impl Keys {
    pub(super) fn new(me: &Identity) -> Self {
        let provider = CryptoProvider {
            // AES-128 is cheapest on machines with AES instructions, and enough.
            cipher_suites: vec![
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
                cipher_suite::TLS13_AES_256_GCM_SHA384,
            ],
            kx_groups: vec![kx_group::X25519],
            ..default_provider()
        };
        let spki = CertificateDer::from(spki(&me.peer_id()));
        let certified = CertifiedKey::new(vec![spki], Arc::new(TlsKey(me.clone())));
        Self { provider: Arc::new(provider), certified: Arc::new(certified) }
    }

    pub(super) fn server(&self, purpose: Purpose) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(AnyKey))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(
                &self.certified,
            ))));
        config.alpn_protocols = vec![purpose.alpn().to_vec()];
        // No resumption, no 0-RTT: every connection proves both keys anew, nothing can be replayed.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(config)
    }

    pub(super) fn client(
        &self,
        expected: &PeerId,
        purpose: Purpose,
    ) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PinnedKey { expected: *expected }))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
                Arc::clone(&self.certified),
            )));
        config.alpn_protocols = vec![purpose.alpn().to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        config.enable_early_data = false;
        Ok(config)
    }
}

#[cfg(test)]
impl Keys {
    /// Shows the key of `victim` and signs with the key of `me`: what an impostor would do.
    pub(super) fn forged(me: &Identity, victim: &PeerId) -> Self {
        let honest = Self::new(me);
        let shown = CertificateDer::from(spki(victim));
        let certified = CertifiedKey::new(vec![shown], Arc::clone(&honest.certified.key));
        Self { certified: Arc::new(certified), ..honest }
    }
}

/// A client that speaks raw public keys and then shows none.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct NoKey;

#[cfg(test)]
impl rustls::client::ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Another key than the pinned one; travels inside the library's error.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("expected key {expected}, got {got}")]
pub(super) struct WrongKey {
    pub(super) expected: PeerId,
    pub(super) got: PeerId,
}

impl WrongKey {
    pub(super) fn find(error: &Error) -> Option<&Self> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref()
            }
            _ => None,
        }
    }
}

/// The key of a finished connection: there must be exactly one.
pub(super) fn only_key(certificates: Option<&[CertificateDer<'_>]>) -> Result<PeerId, Error> {
    match certificates {
        Some([key]) => key_of(key),
        _ => Err(Error::NoCertificatesPresented),
    }
}

fn spki(peer: &PeerId) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), peer.as_bytes()].concat()
}

fn key_of(certificate: &CertificateDer<'_>) -> Result<PeerId, Error> {
    certificate
        .strip_prefix(&SPKI_PREFIX)
        .and_then(|key| PeerId::try_from(key).ok())
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn single_key(key: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<PeerId, Error> {
    if more.is_empty() { key_of(key) } else { Err(CertificateError::BadEncoding.into()) }
}

/// Proof that the other side holds the private key it shows.
fn check_signature(
    message: &[u8],
    key: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if signed.scheme != SignatureScheme::ED25519 {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    if identity::verify(&key_of(key)?, message, signed.signature()) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

/// What both sides say of keys: raw ones, Ed25519, by whoever holds the private half. The library has a trait for each
/// side with these methods in both.
macro_rules! raw_ed25519_keys {
    () => {
        // Not compiled in; the library still asks.
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            check_signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

/// Client side: accepts one key and no other.
#[derive(Debug)]
struct PinnedKey {
    expected: PeerId,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let got = single_key(end_entity, intermediates)?;
        if got == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            let wrong = WrongKey { expected: self.expected, got };
            Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
        }
    }

    raw_ed25519_keys! {}
}

/// Server side: any Ed25519 key, as long as its owner is at the other end.
#[derive(Debug)]
struct AnyKey;

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        single_key(end_entity, intermediates).map(|_| ClientCertVerified::assertion())
    }

    raw_ed25519_keys! {}
}

/// Lets the TLS library sign with our identity without ever seeing the private key.
struct TlsKey(Identity);

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(Self(self.0.clone())) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki(&self.0.peer_id())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsKey").field(&self.0).finish()
    }
}
