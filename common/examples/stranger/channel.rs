//! Secure channel and frames (5, 6).

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, SignatureScheme, StreamOwned,
};
use serde::Serialize;

use crate::{Hash, Res};

/// Whoever is silent for so long is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who this is: somebody else each time.
pub(crate) struct Me(Arc<CertifiedKey>);

impl Me {
    pub(crate) fn new() -> Res<Self> {
        let pkcs8 =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| "no random")?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| "no key")?;
        let signing = provider::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_ref()))?;
        let key = spki(pair.public_key().as_ref());
        Ok(Self(Arc::new(CertifiedKey::new(vec![key.into()], signing))))
    }
}

/// A key as TLS carries it (5.1).
fn spki(key: &[u8]) -> Vec<u8> {
    [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", key].concat()
}

/// Accepts one key.
#[derive(Debug)]
struct Pinned(Hash);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match more.is_empty() && shown.as_ref() == spki(&self.0) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let holds = UnparsedPublicKey::new(&ED25519, self.0).verify(message, signed.signature());
        match signed.scheme == SignatureScheme::ED25519 && holds.is_ok() {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

pub(crate) struct Channel {
    tls: StreamOwned<ClientConnection, TcpStream>,
    /// What binds a proof of the secret to this channel (5.3).
    pub(crate) exporter: Hash,
}

impl Channel {
    pub(crate) fn open(addrs: &[SocketAddr], key: &Hash, alpn: &[u8], me: &Me) -> Res<Self> {
        let kx_groups = vec![provider::kx_group::X25519];
        let provider = CryptoProvider { kx_groups, ..provider::default_provider() };
        let mine = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&me.0));
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(*key)))
            .with_client_cert_resolver(Arc::new(mine));
        config.alpn_protocols = vec![alpn.to_vec()];
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        // Wanted by the library, never sent.
        let nobody = ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into());
        let mut tls = ClientConnection::new(Arc::new(config), nobody)?;
        let mut tcp = TcpStream::connect(addrs)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        if tls.alpn_protocol() != Some(alpn) {
            return Err("the other side speaks another protocol".into());
        }
        let exporter = tls.export_keying_material([0; 32], b"EXPORTER-shoal-admit", None)?;
        Ok(Self { tls: StreamOwned::new(tls, tcp), exporter })
    }

    pub(crate) fn send(&mut self, kind: u8, body: &[u8]) -> Res<()> {
        let len = u32::try_from(1 + body.len())?.to_le_bytes();
        self.tls.write_all(&[&len, [kind].as_slice(), body].concat())?;
        Ok(self.tls.flush()?)
    }

    pub(crate) fn send_map(&mut self, kind: u8, body: &impl Serialize) -> Res<()> {
        self.send(kind, &rmp_serde::to_vec_named(body)?)
    }

    pub(crate) fn recv(&mut self) -> Res<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.tls.read_exact(&mut head)?;
        let [a, b, c, d, kind] = head;
        let len = u32::from_le_bytes([a, b, c, d]);
        if !(1..=262_208).contains(&len) {
            return Err("a frame of impossible length".into());
        }
        let mut body = vec![0; len as usize - 1];
        self.tls.read_exact(&mut body)?;
        Ok((kind, body))
    }
}
