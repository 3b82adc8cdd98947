use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

use super::*;

fn person(seed: u8) -> (Channel, PeerId) {
    let me = Identity::from_seed(&[seed; 32]).unwrap();
    (Channel::new(&me).unwrap(), me.peer_id())
}

type Ended =
    (Result<Secure<DuplexStream>, ChannelError>, Result<Secure<DuplexStream>, ChannelError>);

/// Hands over one byte per call. (A pipe that *holds* one byte would not do: TLS may have both sides
/// writing at once, and then needs room for a few hundred.)
#[derive(Debug)]
struct Trickle(DuplexStream);

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        let done = Pin::new(&mut self.0).poll_read(context, &mut one);
        out.put_slice(one.filled());
        done
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// One handshake between `client` and `server` through a pipe.
async fn handshake(
    (client, client_purpose): (&Channel, Purpose),
    (server, server_purpose): (&Channel, Purpose),
    expected: &PeerId,
) -> Ended {
    let (near, far) = duplex(64 * 1024);
    let both = async {
        tokio::join!(
            client.connect(near, expected, client_purpose),
            server.accept(far, server_purpose)
        )
    };
    tokio::time::timeout(Duration::from_secs(30), both).await.expect("handshake hangs")
}

#[tokio::test]
async fn both_ends_know_each_other_and_share_the_exporter() {
    let ((alice, alice_id), (bob, bob_id)) = (person(1), person(2));
    let mut exporters = Vec::new();
    for purpose in [Purpose::Peer, Purpose::Tracker, Purpose::Peer] {
        let (client, server) = handshake((&alice, purpose), (&bob, purpose), &bob_id).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        assert_eq!((client.peer, server.peer), (bob_id, alice_id));
        assert_eq!(client.exporter, server.exporter);
        let connection = client.stream.get_ref().1;
        assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(
            connection.negotiated_cipher_suite().map(|suite| suite.suite()),
            Some(rustls::CipherSuite::TLS13_AES_128_GCM_SHA256)
        );
        assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full));
        exporters.push(client.exporter);
    }
    exporters.sort_unstable();
    exporters.dedup();
    assert_eq!(exporters.len(), 3, "every connection has its own exporter");
}

#[tokio::test]
async fn wrong_key_is_refused_before_any_application_byte() {
    let ((alice, _), (bob, bob_id), (_, carol_id)) = (person(1), person(2), person(3));
    let (client, server) =
        handshake((&alice, Purpose::Peer), (&bob, Purpose::Peer), &carol_id).await;
    let ChannelError::WrongKey { expected, got } = client.unwrap_err() else { panic!("not named") };
    assert_eq!((expected, got), (carol_id, bob_id));
    // The server never had a connection it could have read from, nor learned who called.
    assert!(matches!(server.unwrap_err(), ChannelError::Refused(_) | ChannelError::Closed));
}

#[tokio::test]
async fn a_key_without_its_private_half_is_refused() {
    let ((alice, alice_id), (bob, bob_id)) = (person(1), person(2));
    let mallory = Identity::from_seed(&[9; 32]).unwrap();
    let pose = |id: &PeerId| {
        let keys = tls::Keys::forged(&mallory, id);
        let server = Arc::new(keys.server(Purpose::Peer).unwrap());
        let places = sealing::Places::new();
        Channel { id: *id, keys, tracker: Arc::clone(&server), peer: server, places }
    };

    let (client, server) =
        handshake((&alice, Purpose::Peer), (&pose(&bob_id), Purpose::Peer), &bob_id).await;
    let bad_signature = |error: ChannelError| {
        let bad = rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature);
        matches!(error, ChannelError::Handshake(inner) if inner == bad)
    };
    assert!(bad_signature(client.unwrap_err()));
    assert!(server.is_err());

    let (_, server) =
        handshake((&pose(&alice_id), Purpose::Peer), (&bob, Purpose::Peer), &bob_id).await;
    assert!(bad_signature(server.unwrap_err()));
}

#[tokio::test]
async fn peers_and_trackers_do_not_mix() {
    let ((alice, _), (bob, bob_id)) = (person(1), person(2));
    let (client, server) =
        handshake((&alice, Purpose::Peer), (&bob, Purpose::Tracker), &bob_id).await;
    assert!(matches!(client.unwrap_err(), ChannelError::WrongProtocol));
    assert!(matches!(server.unwrap_err(), ChannelError::WrongProtocol));
}

#[tokio::test]
async fn a_client_that_names_no_protocol_is_refused() {
    let ((alice, _), (bob, bob_id)) = (person(1), person(2));
    let mut config = alice.keys.client(&bob_id, Purpose::Peer).unwrap();
    config.alpn_protocols.clear();
    let (near, far) = duplex(64 * 1024);
    let nobody = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let (_, server) = tokio::join!(
        TlsConnector::from(Arc::new(config)).connect(nobody, near),
        bob.accept(far, Purpose::Peer)
    );
    assert!(matches!(server.unwrap_err(), ChannelError::WrongProtocol));
}

#[tokio::test]
async fn a_client_without_a_key_is_refused() {
    let ((alice, _), (bob, bob_id)) = (person(1), person(2));
    let mut config = alice.keys.client(&bob_id, Purpose::Peer).unwrap();
    config.client_auth_cert_resolver = Arc::new(tls::NoKey);
    let (near, far) = duplex(64 * 1024);
    let nobody = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let (_, server) = tokio::join!(
        TlsConnector::from(Arc::new(config)).connect(nobody, near),
        bob.accept(far, Purpose::Peer)
    );
    assert!(matches!(server.unwrap_err(), ChannelError::Handshake(_)));
}

#[tokio::test]
async fn plain_text_is_no_handshake() {
    let (alice, alice_id) = person(1);
    for garbage in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), &[0; 64], &[0xff; 64]] {
        let (near, mut far) = duplex(1024);
        far.write_all(garbage).await.unwrap();
        let error = alice.accept(near, Purpose::Peer).await.unwrap_err();
        assert!(matches!(error, ChannelError::NotTls), "{error:?}");

        let (near, mut far) = duplex(1024);
        far.write_all(garbage).await.unwrap();
        let error = alice.connect(near, &alice_id, Purpose::Peer).await.unwrap_err();
        assert!(matches!(error, ChannelError::NotTls), "{error:?}");
    }
}

#[tokio::test]
async fn hanging_up_is_told_apart() {
    let (alice, alice_id) = person(1);
    let (near, far) = duplex(1024);
    drop(far);
    assert!(matches!(alice.accept(near, Purpose::Peer).await.unwrap_err(), ChannelError::Closed));
    // Takes the first bytes and hangs up.
    let (near, mut far) = duplex(1024);
    let (client, ()) = tokio::join!(alice.connect(near, &alice_id, Purpose::Peer), async {
        far.read_u8().await.unwrap();
        drop(far);
    });
    assert!(matches!(client.unwrap_err(), ChannelError::Closed | ChannelError::Io(_)));
}

#[tokio::test]
async fn frames_travel_one_byte_at_a_time() {
    let ((alice, _), (bob, bob_id)) = (person(1), person(2));
    let (near, far) = duplex(64 * 1024);
    let (client, server) = tokio::join!(
        alice.connect(Trickle(near), &bob_id, Purpose::Peer),
        bob.accept(Trickle(far), Purpose::Peer)
    );
    let (mut from_bob, mut to_bob) = client.unwrap().into_frames();
    let (mut from_alice, mut to_alice) = server.unwrap().into_frames();
    let payload: Vec<u8> = (0..40_000u32).map(|i| (i % 251) as u8).collect();
    let talk = async {
        tokio::join!(
            async {
                to_bob.write(1, b"hello").await.unwrap();
                to_bob.write_parts(0x20, &[b"12345678", &payload]).await.unwrap();
                to_bob.flush().await.unwrap();
                assert_eq!(&from_bob.read(100).await.unwrap().body[..], b"thanks");
                to_bob.shutdown().await.unwrap();
            },
            async {
                let frame = from_alice.read(100).await.unwrap();
                assert_eq!((frame.kind, &frame.body[..]), (1, b"hello".as_slice()));
                let header = from_alice.header(64 * 1024).await.unwrap();
                assert_eq!(header, FrameHeader { kind: 0x20, len: 40_008 });
                let (mut head, mut body) = ([0; 8], vec![0; 40_000]);
                from_alice.read_exact_into(&mut head).await.unwrap();
                from_alice.read_exact_into(&mut body).await.unwrap();
                assert_eq!((&head, &body), (b"12345678", &payload));
                to_alice.write(2, b"thanks").await.unwrap();
                to_alice.flush().await.unwrap();
                assert!(matches!(from_alice.read(100).await, Err(FrameError::Closed)));
            }
        )
    };
    tokio::time::timeout(Duration::from_secs(60), talk).await.expect("frames hang");
}

#[tokio::test]
async fn works_over_tcp() {
    let ((alice, alice_id), (bob, bob_id)) = (person(1), person(2));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(
        async {
            let io = tokio::net::TcpStream::connect(address).await.unwrap();
            alice.connect(io, &bob_id, Purpose::Tracker).await.unwrap()
        },
        async {
            let (io, _) = listener.accept().await.unwrap();
            bob.accept(io, Purpose::Tracker).await.unwrap()
        }
    );
    assert_eq!((client.peer, server.peer), (bob_id, alice_id));
    let (mut reader, _keep) = server.into_frames();
    let (_keep_too, mut writer) = client.into_frames();
    writer.write(9, &[7; 3]).await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(reader.read(4).await.unwrap().body, vec![7; 3]);
    writer.write(9, &[7; 4]).await.unwrap();
    writer.flush().await.unwrap();
    assert!(matches!(reader.read(4).await, Err(FrameError::TooLong { len: 5, max: 4 })));
}

#[test]
fn debug_of_a_channel_shows_no_key() {
    let (alice, id) = person(1);
    assert_eq!(format!("{alice:?}"), format!("Channel {{ id: {id:?}, .. }}"));
}
