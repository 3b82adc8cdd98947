//! Reading links: text from strangers, so every part is checked before it becomes a value.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    DEFAULT_TRACKER_PORT, FileLink, JoinError, JoinString, Link, MAX_HOSTS, MAX_IDS, MAX_LINK_LEN,
    SCHEME, percent,
};
use crate::content::Kind;
use crate::id::ContentId;
use crate::limits::MAX_NAME_LEN;

/// Longest DNS name in text form (RFC 1035, section 2.3.4).
const MAX_HOST_LEN: usize = 253;
/// How much of a wrong part an error message repeats, in characters.
const MAX_SHOWN: usize = 60;

/// Reads a join string or a file link; white space around it is dropped.
///
/// # Errors
/// What is wrong, where, and what to do.
pub fn parse_any(text: &str) -> Result<Link, JoinError> {
    let rest = without_scheme(text)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (key, address) = authority.rsplit_once('@').ok_or(JoinError::NoKey)?;
    if key.is_empty() {
        return Err(JoinError::NoKey);
    }
    let tracker = key.parse().map_err(|_| JoinError::Key { got: key.chars().count() })?;
    let (first, standbys) = match address.split_once(',') {
        Some((first, standbys)) => (first, Some(standbys)),
        None => (address, None),
    };
    let (host, port) = split_address(first, DEFAULT_TRACKER_PORT)?;
    let secret = parameter(query, "secret")?.map(|text| text.parse()).transpose()?;
    let mut join = JoinString::new(tracker, host, port, secret)?;
    if let Some(list) = parameter(query, "h")? {
        join.more = add(&join, &list, port)?;
    }
    let then = parameter(query, "then")?;
    for list in standbys.into_iter().chain(then.as_deref()) {
        let further = add(&join, list, DEFAULT_TRACKER_PORT)?;
        join.standbys.extend(further);
    }
    let path = path.strip_suffix('/').unwrap_or(path);

    if path.is_empty() {
        return Ok(Link::Join(join));
    }
    let id = path.parse().map_err(|_| JoinError::Id { got: path.chars().count() })?;
    let kind = parameter(query, "k")?.and_then(|kind| match kind.as_str() {
        "f" => Some(Kind::File),
        "d" => Some(Kind::Folder),
        _ => None,
    });
    let name = parameter(query, "n")?;
    if name.as_deref().is_some_and(|name| !is_name_hint(name)) {
        return Err(JoinError::Parameter { name: "n" });
    }
    let also = more_ids(query)?;
    Ok(Link::File(FileLink { join, id, also, kind, name }))
}

/// Hosts of a list, with the port `usual` unless they name their own: those that `join` has not yet, each once.
fn add(join: &JoinString, list: &str, usual: u16) -> Result<Vec<(String, u16)>, JoinError> {
    let mut new: Vec<(String, u16)> = Vec::new();
    for text in list.split(',') {
        let (host, port) = split_address(text, usual)?;
        let host = self::host(host)?;
        let mut named = join.addresses().chain(join.standbys());
        let known = named.any(|named| named == (host.as_str(), port));
        if !known && !new.contains(&(host.clone(), port)) {
            new.push((host, port));
        }
        if 1 + join.more.len() + join.standbys.len() + new.len() > MAX_HOSTS {
            return Err(JoinError::Hosts);
        }
    }
    Ok(new)
}

/// More contents of the same link.
fn more_ids(query: &str) -> Result<Vec<ContentId>, JoinError> {
    let mut ids = Vec::new();
    for text in parameter(query, "also")?.iter().flat_map(|list| list.split(',')) {
        ids.push(text.parse().map_err(|_| JoinError::Id { got: text.chars().count() })?);
        if ids.len() >= MAX_IDS {
            return Err(JoinError::Parameter { name: "also" });
        }
    }
    Ok(ids)
}

fn without_scheme(text: &str) -> Result<&str, JoinError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(JoinError::Empty);
    }
    if text.len() > MAX_LINK_LEN {
        return Err(JoinError::TooLong { got: text.len() });
    }
    // First: where a blank is in something else altogether helps nobody.
    let rest = text
        .split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .map(|(_, rest)| rest)
        .ok_or(JoinError::Scheme)?;
    if let Some(at) = text.chars().position(|c| c.is_control() || c.is_whitespace()) {
        return Err(JoinError::Control { at: at + 1 });
    }
    Ok(rest)
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`; `usual` is the port that is not said.
fn split_address(address: &str, usual: u16) -> Result<(&str, u16), JoinError> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| bad_host(address))?;
        // What stands in brackets must be an IPv6 address.
        if !host.contains(':') {
            return Err(bad_host(address));
        }
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(bad_host(address)),
        }
    } else {
        match address.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(bad_host(address)),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    let Some(text) = port else { return Ok((host, usual)) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok((host, port)),
        _ => Err(JoinError::Port { shown: shown(text) }),
    }
}

/// Checks a host and brings it to the form it is compared and dialled in.
pub(super) fn host(text: &str) -> Result<String, JoinError> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if inner.contains(':') {
        let ip: Ipv6Addr = inner.parse().map_err(|_| bad_host(text))?;
        return Ok(ip.to_string());
    }
    let name = inner.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut labels = name.strip_suffix('.').unwrap_or(&name).split('.');
    let well_formed = name.len() <= MAX_HOST_LEN
        && labels.all(|label| !label.is_empty() && label.len() <= 63 && label.bytes().all(allowed));
    // A name whose last label is a number is an IPv4 address or a typing error.
    let numeric = name
        .rsplit('.')
        .next()
        .is_some_and(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
    if !well_formed || (numeric && name.parse::<Ipv4Addr>().is_err()) {
        return Err(bad_host(text));
    }
    Ok(name)
}

/// The decoded value of a parameter.
fn parameter(query: &str, name: &'static str) -> Result<Option<String>, JoinError> {
    let mut values = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(JoinError::Parameter { name });
    }
    percent::decode(value).map(Some).ok_or(JoinError::Parameter { name })
}

pub(super) fn is_name_hint(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_LEN && !name.chars().any(char::is_control)
}

fn bad_host(text: &str) -> JoinError {
    JoinError::Host { shown: shown(text) }
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}
