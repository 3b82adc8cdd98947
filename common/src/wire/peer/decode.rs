//! Reading messages; everything in them is checked here.

use super::super::binary::Reader;
use super::super::{IGNORABLE, WireError, bounded, pack};
use super::parts::{decode_hello, decode_open_ok};
use super::{ByeBody, CloseBody, OpenNoBody, PeerMsg, RECALL, Run};
use crate::limits::{
    MAX_HASHES, MAX_HAVE_RUNS, MAX_PROOF, MAX_REQ_ANY, MAX_REQ_ANY_EXCLUDES, MAX_TEXT,
};

impl PeerMsg {
    /// Reads a frame. `Ok(None)` is a message of a newer version that may be ignored.
    ///
    /// # Errors
    /// [`WireError`] on anything but exactly one well-formed message within all limits.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, WireError> {
        let msg = match kind {
            0x01 => Self::Hello(decode_hello(body)?),
            0x02 => Self::Open(pack::decode("OPEN", body)?),
            0x03 => Self::OpenOk(decode_open_ok(body)?),
            0x04 => {
                let OpenNoBody { h, e } = pack::decode("OPEN_NO", body)?;
                Self::OpenNo { handle: h, code: e.into() }
            }
            0x05 => Self::Close { handle: pack::decode::<CloseBody>("CLOSE", body)?.h },
            0x06 => Self::Extra(decode_number("EXTRA", body)?),
            0x10 => {
                let mut r = Reader::new("BITFIELD", body);
                Self::Bitfield { handle: r.u16()?, set: r.rest().to_vec() }
            }
            0x11 => {
                let (handle, runs) = decode_runs("HAVE", body)?;
                Self::Have { handle, runs }
            }
            0x12 => {
                let (handle, runs) = decode_runs("DONT_HAVE", body)?;
                Self::DontHave { handle, runs }
            }
            0x13 => {
                let (handle, want) = decode_flag("WANT", body)?;
                Self::Want { handle, want }
            }
            0x14 => {
                let (handle, choke) = decode_flag("CHOKE", body)?;
                Self::Choke { handle, choke }
            }
            0x21..=0x25 => decode_request(kind, body)?,
            RECALL => decode_request(kind, body)?,
            0x30..=0x33 => decode_hashes(kind, body)?,
            0x40 => Self::Ping(decode_number("PING", body)?),
            0x41 => Self::Pong(decode_number("PONG", body)?),
            0x7f => {
                let ByeBody { e, t } = pack::decode("BYE", body)?;
                bounded(t.len() <= MAX_TEXT, "BYE", "text")?;
                Self::Bye { code: e.into(), text: t }
            }
            other if other & IGNORABLE != 0 => return Ok(None),
            other => return Err(WireError::UnknownType(other)),
        };
        Ok(Some(msg))
    }
}

fn decode_runs(name: &'static str, body: &[u8]) -> Result<(u16, Vec<Run>), WireError> {
    let mut r = Reader::new(name, body);
    let handle = r.u16()?;
    let n = usize::from(r.u16()?);
    bounded((1..=MAX_HAVE_RUNS).contains(&n), name, "number of runs")?;
    let mut runs = Vec::with_capacity(n);
    for _ in 0..n {
        let run = Run { start: r.u32()?, len: r.u16()? };
        bounded(run.len > 0, name, "run")?;
        runs.push(run);
    }
    r.finish()?;
    Ok((handle, runs))
}

fn decode_flag(name: &'static str, body: &[u8]) -> Result<(u16, bool), WireError> {
    let mut r = Reader::new(name, body);
    let fields = (r.u16()?, r.flag()?);
    r.finish()?;
    Ok(fields)
}

fn decode_number(name: &'static str, body: &[u8]) -> Result<u64, WireError> {
    let mut r = Reader::new(name, body);
    let number = r.u64()?;
    r.finish()?;
    Ok(number)
}

fn decode_request(kind: u8, body: &[u8]) -> Result<PeerMsg, WireError> {
    let mut r = Reader::new("request", body);
    let msg = match kind {
        0x21 => PeerMsg::Request {
            handle: r.u16()?,
            rid: r.u32()?,
            chunk: r.u32()?,
            off: r.u32()?,
            len: r.u32()?,
        },
        0x22 => {
            let (handle, rid, count) = (r.u16()?, r.u32()?, r.u8()?);
            let n = usize::from(r.u16()?);
            bounded((1..=MAX_REQ_ANY).contains(&usize::from(count)), "REQ_ANY", "count")?;
            bounded(n <= MAX_REQ_ANY_EXCLUDES, "REQ_ANY", "exclusions")?;
            let mut except = Vec::with_capacity(n);
            for _ in 0..n {
                except.push(r.u32()?);
            }
            PeerMsg::ReqAny { handle, rid, count, except }
        }
        0x23 => PeerMsg::Assign { rid: r.u32()?, chunk: r.u32()? },
        0x24 => PeerMsg::Cancel { rid: r.u32()? },
        RECALL => PeerMsg::Recall { rid: r.u32()? },
        _ => PeerMsg::Reject { rid: r.u32()?, code: r.u8()?.into() },
    };
    r.finish()?;
    Ok(msg)
}

fn decode_hashes(kind: u8, body: &[u8]) -> Result<PeerMsg, WireError> {
    let mut r = Reader::new("hash", body);
    let msg = match kind {
        0x30 => PeerMsg::HashReq {
            handle: r.u16()?,
            rid: r.u32()?,
            file: r.u32()?,
            level: r.u8()?,
            index: r.u32()?,
            count: r.u16()?,
        },
        0x31 => {
            let (rid, n, proofs) = (r.u32()?, usize::from(r.u16()?), usize::from(r.u8()?));
            bounded((1..=MAX_HASHES).contains(&n), "HASHES", "count")?;
            bounded(proofs <= MAX_PROOF, "HASHES", "proof")?;
            let mut hashes = Vec::with_capacity(n);
            for _ in 0..n {
                hashes.push(r.hash()?);
            }
            let mut proof = Vec::with_capacity(proofs);
            for _ in 0..proofs {
                proof.push(r.hash()?);
            }
            PeerMsg::Hashes { rid, hashes, proof }
        }
        0x32 => PeerMsg::Corrupt { handle: r.u16()?, chunk: r.u32()?, bad: r.hash()? },
        _ => PeerMsg::MetaReq { handle: r.u16()?, rid: r.u32()?, off: r.u32()?, len: r.u32()? },
    };
    r.finish()?;
    Ok(msg)
}
