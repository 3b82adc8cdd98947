//! Takes secrets out of text that is written down.

/// What a network's secret follows in a join string.
const SECRET: &str = "secret=";
/// What stands in its place.
const GONE: &str = "***";

/// The text without the secrets of join strings in it: everything after `secret=` up to white space, a
/// quote, `&` or `#` is replaced.
pub fn redact(text: &str) -> String {
    if !has_secret(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest) {
        let (before, after) = rest.split_at(at + SECRET.len());
        out.push_str(before);
        out.push_str(GONE);
        let end = after.find(|c: char| c.is_whitespace() || "\"'`&#<>".contains(c));
        rest = end.and_then(|end| after.get(end..)).unwrap_or("");
    }
    out.push_str(rest);
    out
}

fn has_secret(text: &str) -> bool {
    find(text).is_some()
}

/// Case does not matter: links are pasted in all forms.
fn find(text: &str) -> Option<usize> {
    let needle = SECRET.as_bytes();
    text.as_bytes().windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_secret_goes() {
        assert_eq!(
            redact("see shoal://k@h:1?secret=abc&x=1 and \"SECRET=Q\" end"),
            "see shoal://k@h:1?secret=***&x=1 and \"SECRET=***\" end"
        );
        assert_eq!(redact("nothing here"), "nothing here");
    }

    proptest! {
        #[test]
        fn no_secret_survives(before in "\\PC{0,20}", key in "[a-z0-9]{12,40}", after in "( \\PC{0,20})?") {
            let text = format!("{before}?secret={key}{after}");
            prop_assume!(!before.contains(&key) && !after.contains(&key));
            prop_assert!(!redact(&text).contains(&key));
        }
    }
}
