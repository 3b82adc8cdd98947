//! Questions to a pretended router, which has an address of loopback for itself.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;

const NONCE: pcp::Nonce = [7, 8, 9];
const WAIT: Duration = Duration::from_millis(20);

fn port(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

fn question() -> Question {
    Question { nonce: NONCE, port: port(7421), suggested: None }
}

/// What a router says to a datagram.
type Answers = fn(&[u8]) -> Vec<Vec<u8>>;

/// A router that gives `answers` to each datagram, and keeps none of them back.
async fn router(answers: Answers) -> (Gateway, JoinHandle<()>) {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    // One process and test has an address of its own: the port is fixed by the protocol.
    let at = Ipv4Addr::new(127, NEXT.fetch_add(1, Ordering::Relaxed), high, low.clamp(1, 254));
    let socket = UdpSocket::bind((at, crab_nat::GATEWAY_PORT)).await.unwrap();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 1100];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            for answer in answers(&buffer[..len]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    (Gateway { at, own: Ipv4Addr::LOCALHOST }, task)
}

/// An answer of PCP to a question that maps (RFC 6887, 11.1).
fn pcp_answer(question: &[u8], outside: [u8; 4], port: u16, lifetime: u32) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[1] |= 0x80;
    answer[4..8].copy_from_slice(&lifetime.to_be_bytes());
    answer[8..12].copy_from_slice(&77u32.to_be_bytes());
    answer[12..24].fill(0);
    answer[42..44].copy_from_slice(&port.to_be_bytes());
    answer[44..60].copy_from_slice(&Ipv4Addr::from(outside).to_ipv6_mapped().octets());
    answer
}

/// Answers of one that speaks NAT-PMP only (RFC 6886, 3).
fn natpmp_answer(question: &[u8]) -> Vec<Vec<u8>> {
    let head = |op: u8, result: u16| {
        let mut head = vec![0, op | 0x80];
        head.extend(result.to_be_bytes());
        head.extend(77u32.to_be_bytes());
        head
    };
    let answer = match question {
        [2, ..] => head(question[1], 1),
        [0, 0] => [head(0, 0), vec![203, 0, 113, 9]].concat(),
        [0, 2, ..] if question[8..12] == [0; 4] => {
            [head(2, 0), question[4..6].to_vec(), vec![0; 6]].concat()
        }
        [0, 2, ..] => {
            [head(2, 0), question[4..6].to_vec(), vec![0x12, 0x34], question[8..12].to_vec()]
                .concat()
        }
        _ => return Vec::new(),
    };
    vec![answer]
}

#[tokio::test]
async fn a_router_is_asked_by_pcp_and_it_is_given_back() {
    let (gateway, task) = router(|question| {
        assert_eq!((question.len(), question[0], question[1]), (60, 2, 1));
        assert_eq!(&question[24..36], [0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9]);
        let lifetime = u32::from_be_bytes(question[4..8].try_into().unwrap());
        match lifetime {
            7200 => vec![pcp_answer(question, [203, 0, 113, 9], 4711, 3600)],
            // Given back.
            0 => vec![pcp_answer(question, [0; 4], 0, 0)],
            other => panic!("{other}"),
        }
    })
    .await;
    let granted = ask_at(gateway, question(), WAIT).await.unwrap();
    let outside = (Ipv4Addr::new(203, 0, 113, 9).into(), port(4711));
    assert_eq!((granted.outside, granted.lifetime), (outside, Duration::from_secs(3600)));
    let began = Instant::now();
    give_back(granted).await;
    assert!(began.elapsed() < GIVING_BACK, "it was heard");
    assert!(!task.is_finished(), "the router found nothing wrong");
}

#[tokio::test]
async fn an_older_router_is_asked_by_nat_pmp() {
    let (gateway, _task) = router(natpmp_answer).await;
    let granted = ask_at(gateway, question(), WAIT).await.unwrap();
    let outside = (Ipv4Addr::new(203, 0, 113, 9).into(), port(0x1234));
    assert_eq!((granted.outside, granted.lifetime), (outside, LIFETIME));
    let began = Instant::now();
    give_back(granted).await;
    assert!(began.elapsed() < GIVING_BACK, "it was heard");
}

#[tokio::test]
async fn a_question_under_way_is_taken_back_from_either_kind_of_router() {
    let (newer, newer_task) = router(|question| match question {
        [2, 1, ..] => {
            assert_eq!(
                (&question[4..8], &question[24..36]),
                (&[0; 4][..], &[0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9][..])
            );
            vec![pcp_answer(question, [0; 4], 0, 0)]
        }
        _ => vec![[0, question[1] | 0x80, 0, 1].into_iter().chain([0; 12]).collect()],
    })
    .await;
    let (older, older_task) = router(natpmp_answer).await;
    for (gateway, task) in [(newer, newer_task), (older, older_task)] {
        let began = Instant::now();
        take_back_at(gateway, NONCE, port(7421)).await;
        assert!(began.elapsed() < GIVING_BACK, "both answered");
        assert!(!task.is_finished(), "the router found nothing wrong");
    }
}

#[tokio::test]
async fn a_router_that_says_nothing_is_not_waited_for() {
    let (gateway, _task) = router(|_| Vec::new()).await;
    let began = Instant::now();
    assert_eq!(ask_at(gateway, question(), WAIT).await, Err(Why::NoAnswer));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // Nor when it is given back what it gave.
    let outside = (Ipv4Addr::new(203, 0, 113, 9).into(), port(4711));
    let (lifetime, nonce, port) = (LIFETIME, Some(NONCE), port(7421));
    let began = Instant::now();
    give_back(Granted { outside, lifetime, gateway, port, nonce }).await;
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn s14_no_answer_of_a_router_upsets_us() {
    let answers: [Answers; 8] = [
        |_| vec![Vec::new()],
        |_| vec![vec![2]],
        |_| vec![vec![0xff; 1100]],
        |_| vec![vec![0; 16]],
        // What it was sent.
        |question| vec![question.to_vec()],
        // A port of zero.
        |question| match question {
            [2, ..] => vec![pcp_answer(question, [203, 0, 113, 9], 0, 7200)],
            _ => vec![[0, question[1] | 0x80].into_iter().chain([0; 14]).collect()],
        },
        // Of somebody else's question.
        |question| {
            let mut other = question.to_vec();
            other.iter_mut().skip(24).for_each(|byte| *byte ^= 0x55);
            vec![pcp_answer(&[&other[..], &[0; 60]].concat(), [203, 0, 113, 9], 4711, 7200)]
        },
        // A flood: the first counts.
        |question| vec![vec![question[0]; 1100]; 1000],
    ];
    for (n, answers) in answers.into_iter().enumerate() {
        let (gateway, task) = router(answers).await;
        let began = Instant::now();
        let answer = ask_at(gateway, question(), WAIT).await;
        assert!(answer.is_err(), "{n}: {answer:?}");
        assert!(began.elapsed() < PATIENCE, "{n}: {:?}", began.elapsed());
        task.abort();
    }
    // No router at all: it is said by the system, at once.
    let gateway = Gateway { at: Ipv4Addr::new(127, 255, 3, 4), own: Ipv4Addr::LOCALHOST };
    assert_eq!(ask_at(gateway, question(), WAIT).await, Err(Why::NoAnswer));
}
