use proptest::prelude::*;

use super::*;

const SECRET: &str = "correct horse&battery=100%";

fn key() -> PeerId {
    PeerId::from_bytes([0xA5; 32])
}

fn id() -> ContentId {
    ContentId::from_bytes([0x5A; 32])
}

fn parse(text: &str) -> Result<JoinString, JoinError> {
    text.parse()
}

#[test]
fn every_form_of_address_is_read() {
    let key = key();
    for (address, host, port, shown) in [
        ("example.org:7000", "example.org", 7000, "example.org:7000"),
        ("Example.ORG", "example.org", 7420, "example.org:7420"),
        ("localhost:1", "localhost", 1, "localhost:1"),
        ("my_box:65535", "my_box", 65535, "my_box:65535"),
        ("192.168.1.5:7420", "192.168.1.5", 7420, "192.168.1.5:7420"),
        ("[::1]:9", "::1", 9, "[::1]:9"),
        ("[2001:DB8:0::1]", "2001:db8::1", 7420, "[2001:db8::1]:7420"),
        ("example.org./", "example.org.", 7420, "example.org.:7420"),
    ] {
        let join = parse(&format!("  shoal://{key}@{address}\n")).unwrap();
        assert_eq!((join.tracker(), join.host(), join.port()), (key, host, port), "{address}");
        assert_eq!(join.address(), shown);
        assert!(join.secret().is_none());
        assert_eq!(parse(&join.to_string()).unwrap(), join);
        assert_eq!(JoinString::new(key, join.host(), join.port(), None).unwrap(), join);
    }
    let shouted = format!("SHOAL://{}@H:1", key.to_string().to_uppercase());
    assert_eq!(parse(&shouted).unwrap(), JoinString::new(key, "h", 1, None).unwrap());
}

#[test]
fn secret_is_carried_and_not_shown() {
    let secret: Secret = SECRET.parse().unwrap();
    let join = JoinString::new(key(), "host", 7420, Some(secret)).unwrap();
    let text = join.to_string();
    assert!(text.contains("?secret=correct%20horse%26battery%3D100%25"), "{text}");
    let back = parse(&text).unwrap();
    assert_eq!(back, join);
    assert_eq!(back.secret().unwrap().expose(), SECRET);
    assert!(!format!("{back:?}").contains("horse"));
    assert!(!back.address().contains("horse"));
    let newer = text.replace("?secret", "?from=2031&x&secret");
    assert_eq!(parse(&newer).unwrap(), join);
}

#[test]
fn file_links_round_trip_without_the_secret() {
    let secret: Secret = SECRET.parse().unwrap();
    let join = JoinString::new(key(), "::1", 7420, Some(secret)).unwrap();
    for kind in [None, Some(Kind::File), Some(Kind::Folder)] {
        for name in [None, Some("Größe & Maß?.iso")] {
            let link = FileLink::new(&join, id(), kind, name);
            assert_eq!((link.kind(), link.name(), link.id()), (kind, name, id()));
            assert!(link.join().secret().is_none());
            let text = link.to_string();
            assert!(!text.contains("horse"), "{text}");
            assert_eq!(parse_any(&text), Ok(Link::File(link)));
        }
    }
    let text = FileLink::new(&join, id(), Some(Kind::Folder), Some("a b")).to_string();
    assert_eq!(text, format!("shoal://{}@[::1]:7420/{}?k=d&n=a%20b", key(), id()));
}

#[test]
fn c2_a_link_of_its_own_carries_its_secret_all_addresses_and_all_contents() {
    let secret: Secret = SECRET.parse().unwrap();
    let hosts =
        [("10.0.0.3", 7420), ("fd00::1", 7420), ("host", 9), ("10.0.0.3", 7420), ("a b", 1)];
    let join = JoinString::new(key(), "10.0.0.2", 7420, Some(secret)).unwrap().with_more(hosts);
    let all = [("10.0.0.2", 7420), ("10.0.0.3", 7420), ("fd00::1", 7420), ("host", 9)];
    assert_eq!(join.addresses().collect::<Vec<_>>(), all);
    assert_eq!(parse(&join.to_string()).unwrap(), join);
    let other = ContentId::from_bytes([0x5B; 32]);
    let link = FileLink::new(&join, id(), Some(Kind::File), Some("a b")).with_also([other]);
    assert!(!link.to_string().contains("horse"));
    let link = link.one_time(&join);
    let text = link.to_string();
    let tail = format!("k=f&n=a%20b&also={other}&h=10.0.0.3,[fd00::1],host:9&secret=correct%20");
    assert!(text.contains(&tail), "{text}");
    assert_eq!(parse_any(&text), Ok(Link::File(link.clone())));
    assert!(!format!("{link:?}").contains("horse"));
    // What goes on from here needs no secret any more.
    let each = link.each();
    assert_eq!(each.iter().map(FileLink::id).collect::<Vec<_>>(), [id(), other]);
    assert!(each.iter().all(|link| !link.to_string().contains("horse")));
    assert_eq!(each[0].join().addresses().count(), 4);
    // As long as a link can be.
    let many = (0..MAX_IDS as u8).map(|n| ContentId::from_bytes([n; 32]));
    let v6 = (0..20).map(|n| format!("2001:db8:1111:2222:3333:4444:5555:{:x}", 0x1000 + n));
    let v6: Vec<String> = v6.collect();
    let join = join.with_more(v6.iter().map(|host| (host.as_str(), 65000)));
    let longest = FileLink::new(&join, id(), Some(Kind::File), None).with_also(many);
    let longest = longest.one_time(&join);
    assert_eq!((longest.each().len(), longest.join().addresses().count()), (MAX_IDS, MAX_HOSTS));
    assert_eq!(longest.to_string().parse::<FileLink>(), Ok(longest));
}

#[test]
fn c2_lists_that_are_too_long_or_damaged_are_refused() {
    let hosts: Vec<String> = (0..MAX_HOSTS + 1).map(|n| format!("h{n}")).collect();
    let ids: Vec<String> = (0..MAX_IDS + 1).map(|_| id().to_string()).collect();
    let base = format!("shoal://{}@host", key());
    for (query, error) in [
        (format!("h={}", hosts.join(",")), JoinError::Hosts),
        ("h=".to_owned(), JoinError::Host { shown: String::new() }),
        ("h=a,b:0".to_owned(), JoinError::Port { shown: "0".to_owned() }),
        (format!("also={}", ids.join(",")), JoinError::Parameter { name: "also" }),
        ("also=abc".to_owned(), JoinError::Id { got: 3 }),
    ] {
        assert_eq!(parse_any(&format!("{base}/{}?{query}", id())), Err(error), "{query}");
    }
}

#[test]
fn b1_several_hosts_of_one_key_are_read_in_their_order() {
    let key = key();
    let join = parse(&format!("shoal://{key}@A.lab,[2001:db8::7],10.0.0.9:99?h=10.0.0.2")).unwrap();
    assert_eq!(join.addresses().collect::<Vec<_>>(), [("a.lab", 7420), ("10.0.0.2", 7420)]);
    assert_eq!(join.standbys().collect::<Vec<_>>(), [("2001:db8::7", 7420), ("10.0.0.9", 99)]);
    let text = join.to_string();
    let hosts = "a.lab:7420,[2001:db8::7]:7420,10.0.0.9:99";
    assert_eq!(text, format!("shoal://{key}@{hosts}?h=10.0.0.2"));
    assert_eq!(parse(&text).unwrap(), join);
    // What older programs are given they read as the first host.
    let wide = join.widely_read();
    let then = "then=[2001:db8::7]:7420,10.0.0.9:99";
    assert_eq!(wide, format!("shoal://{key}@a.lab:7420?h=10.0.0.2&{then}"));
    assert_eq!(parse(&wide).unwrap(), join);
    let link = FileLink::new(&join, id(), Some(Kind::File), None);
    assert_eq!(
        link.to_string(),
        format!("shoal://{key}@a.lab:7420/{}?k=f&h=10.0.0.2&{then}", id())
    );
    assert_eq!(parse_any(&link.to_string()), Ok(Link::File(link)));
    // Each once, whichever way it is named.
    let twice = format!("shoal://{key}@a.lab,b,a.lab:7420,b:1?then=b,c:7420,b:1");
    let twice = parse(&twice).unwrap();
    assert_eq!(twice.standbys().collect::<Vec<_>>(), [("b", 7420), ("b", 1), ("c", 7420)]);
    let one = JoinString::new(key, "a.lab", 7420, None).unwrap();
    let named = twice.standbys().chain([("a b", 1), ("d", 0), ("a.lab", 7420)]);
    assert_eq!(one.clone().with_standbys(named), twice);
    assert_eq!(one.to_string(), format!("shoal://{key}@a.lab:7420"), "as ever");
    assert_eq!(one.widely_read(), one.to_string());
}

#[test]
fn b1_hosts_that_are_none_or_too_many_are_refused() {
    let (key, hosts) = (key(), (0..=MAX_HOSTS).map(|n| format!("h{n}")).collect::<Vec<_>>());
    let refused = |rest: &str| parse(&format!("shoal://{key}@{rest}")).unwrap_err();
    assert_eq!(refused("a,"), JoinError::Host { shown: String::new() });
    assert_eq!(refused(",a"), JoinError::Host { shown: String::new() });
    assert_eq!(refused("a,b c"), JoinError::Control { at: 65 });
    assert_eq!(refused("a:1,b:0"), JoinError::Port { shown: "0".to_owned() });
    assert_eq!(refused(&hosts.join(",")), JoinError::Hosts);
    assert_eq!(refused(&format!("a?then={}", hosts[1..].join(","))), JoinError::Hosts);
    assert_eq!(refused("a,b,c,d?h=e,f,g&then=h,i"), JoinError::Hosts);
    let join = parse(&format!("shoal://{key}@{}", hosts[1..].join(","))).unwrap();
    assert_eq!(join.clone().with_standbys([("more", 1)]).with_more([("more", 1)]), join);
}

#[test]
fn names_that_are_no_hints_are_left_out_or_refused() {
    let join = JoinString::new(key(), "host", 7420, None).unwrap();
    for bad in ["", "a\x1b[2Jb", "line\nbreak", &"x".repeat(256)] {
        assert_eq!(FileLink::new(&join, id(), None, Some(bad)).name(), None);
        let text = format!("shoal://{}@host/{}?n={}", key(), id(), percent::encode(bad));
        assert_eq!(text.parse::<FileLink>(), Err(JoinError::Parameter { name: "n" }));
    }
    let odd = format!("shoal://{}@host/{}?k=z", key(), id());
    assert_eq!(odd.parse::<FileLink>().unwrap().kind(), None);
}

#[test]
fn the_two_kinds_of_link_are_told_apart() {
    let join = JoinString::new(key(), "host", 7420, None).unwrap();
    let link = FileLink::new(&join, id(), None, None);
    assert_eq!(parse(&link.to_string()), Err(JoinError::IsFile));
    assert_eq!(join.to_string().parse::<FileLink>(), Err(JoinError::IsJoin));
    assert_eq!(parse_any(&join.to_string()), Ok(Link::Join(join)));
}

#[test]
fn rubbish_is_refused_with_what_is_wrong() {
    let key = key();
    let host = |shown: &str| JoinError::Host { shown: shown.to_owned() };
    let port = |shown: &str| JoinError::Port { shown: shown.to_owned() };
    let secret = JoinError::Parameter { name: "secret" };
    for (text, error) in [
        (String::new(), JoinError::Empty),
        (" \n\t".to_owned(), JoinError::Empty),
        ("x".repeat(2049), JoinError::TooLong { got: 2049 }),
        ("hello".to_owned(), JoinError::Scheme),
        ("ü".to_owned(), JoinError::Scheme),
        ("shoalü://x".to_owned(), JoinError::Scheme),
        (format!("https://{key}@host"), JoinError::Scheme),
        ("shoal://".to_owned(), JoinError::NoKey),
        ("shoal://host:7420".to_owned(), JoinError::NoKey),
        ("shoal://@host:7420".to_owned(), JoinError::NoKey),
        ("shoal://abc@host".to_owned(), JoinError::Key { got: 3 }),
        (format!("shoal://{key}x@host"), JoinError::Key { got: 53 }),
        (format!("shoal://{key}@evil@host"), JoinError::Key { got: 57 }),
        (format!("shoal://{key}@"), host("")),
        (format!("shoal://{key}@:7420"), host("")),
        (format!("shoal://{key}@::1"), host("::1")),
        (format!("shoal://{key}@[::1"), host("[::1")),
        (format!("shoal://{key}@[::1]x"), host("[::1]x")),
        (format!("shoal://{key}@[host]:1"), host("[host]:1")),
        (format!("shoal://{key}@[1::2::3]"), host("1::2::3")),
        (format!("shoal://{key}@a..b"), host("a..b")),
        (format!("shoal://{key}@1.2.3"), host("1.2.3")),
        (format!("shoal://{key}@1.2.3.256"), host("1.2.3.256")),
        (format!("shoal://{key}@7420"), host("7420")),
        (format!("shoal://{key}@größe"), host("größe")),
        (format!("shoal://{key}@$(reboot)"), host("$(reboot)")),
        (format!("shoal://{key}@{}", "a".repeat(64)), host(&"a".repeat(60))),
        (format!("shoal://{key}@host:"), port("")),
        (format!("shoal://{key}@host:0"), port("0")),
        (format!("shoal://{key}@host:+1"), port("+1")),
        (format!("shoal://{key}@host:65536"), port("65536")),
        (format!("shoal://{key}@host:http"), port("http")),
        ("some other text".to_owned(), JoinError::Scheme),
        (format!("shoal://{key}@ho st"), JoinError::Control { at: 64 }),
        (format!("shoal://{key}@host\x1b[2J"), JoinError::Control { at: 66 }),
        (format!("shoal://{key}@host\nshoal://"), JoinError::Control { at: 66 }),
        (format!("shoal://{key}@host/abc"), JoinError::Id { got: 3 }),
        (format!("shoal://{key}@host?secret=%4"), secret.clone()),
        (format!("shoal://{key}@host?secret=%ff%fe"), secret.clone()),
        (format!("shoal://{key}@host?secret={0}&secret={0}", "s".repeat(20)), secret),
        (
            format!("shoal://{key}@host?secret=hunter2"),
            JoinError::Secret(SecretError::TooShort { got: 7 }),
        ),
        (
            format!("shoal://{key}@host?secret=hunter2hunter2hunter2%0A-"),
            JoinError::Secret(SecretError::Control),
        ),
    ] {
        let got = parse_any(&text).unwrap_err();
        assert_eq!(got, error, "{text:?}");
        let shown = got.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn port_zero_and_wrong_hosts_cannot_be_put_together() {
    assert!(matches!(JoinString::new(key(), "h", 0, None), Err(JoinError::Port { .. })));
    for host in ["", "a b", "a/b", "a@b", "a?b", "a:b", "[a]x", "a#b", "\u{202e}b"] {
        let made = JoinString::new(key(), host, 1, None);
        assert!(matches!(made, Err(JoinError::Host { .. })), "{host:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_written_the_same_way(
        address in "(\\[[0-9a-f:]{0,12}\\]|[a-z0-9.@_-]{0,12})(:[0-9]{0,6})?(,[a-z0-9.:]{0,9}){0,2}",
        rest in "(/[a-z2-7]{0,2})?(\\?(secret|n|k|h|then|also)=[ -~]{0,40})?",
    ) {
        if let Ok(link) = parse_any(&format!("shoal://{}@{address}{rest}", key())) {
            let text = match &link {
                Link::Join(join) => join.to_string(),
                Link::File(file) => file.to_string(),
            };
            prop_assert_eq!(parse_any(&text), Ok(link));
        }
    }

    #[test]
    fn no_text_upsets_the_parser(text in ".{0,200}") {
        prop_assert!(parse_any(&text).is_err());
        let _ = parse_any(&format!("shoal://{}@{text}", key()));
        let _ = parse_any(&format!("shoal://{}@host/{}?{text}", key(), id()));
    }

    #[test]
    fn links_that_were_made_can_be_read(host in "[a-z]{1,9}(\\.[a-z]{1,9}){0,3}", port: u16, name in ".{1,80}") {
        prop_assume!(port != 0);
        let join = JoinString::new(key(), &host, port, None).unwrap();
        let link = FileLink::new(&join, id(), Some(Kind::File), Some(&name));
        prop_assert_eq!(link.to_string().parse::<FileLink>(), Ok(link));
    }
}
