//! Filters used before, the newest first.

/// Most kept; older ones are forgotten.
const MAX_RECALLED: usize = 50;
/// Longest one kept, in bytes: what is pasted by mistake is not worth keeping.
const MAX_LEN: usize = 200;

/// Filters used before.
#[derive(Debug, Clone, Default)]
pub struct Recall {
    texts: Vec<String>,
    at: Option<usize>,
}

impl Recall {
    /// From the text of its file; what does not belong there is left out.
    pub fn parse(text: &str) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for line in text.lines().filter(|line| is_kept(line)).take(MAX_RECALLED) {
            if !texts.iter().any(|known| known == line) {
                texts.push(line.to_owned());
            }
        }
        Self { texts, at: None }
    }

    /// The text of its file.
    pub fn text(&self) -> String {
        self.texts.iter().flat_map(|text| [text.as_str(), "\n"]).collect()
    }

    /// Remembers a filter that was used; says whether that is new.
    pub fn add(&mut self, text: &str) -> bool {
        self.at = None;
        let text = text.trim();
        if !is_kept(text) || self.texts.first().is_some_and(|first| first == text) {
            return false;
        }
        self.texts.retain(|known| known != text);
        self.texts.insert(0, text.to_owned());
        self.texts.truncate(MAX_RECALLED);
        true
    }

    /// The next older one; after the oldest the newest again.
    pub fn older(&mut self) -> Option<&str> {
        let next = self.at.map_or(0, |at| at + 1);
        self.at = Some(if next < self.texts.len() { next } else { 0 });
        self.texts.get(self.at?).map(String::as_str)
    }

    /// Begins at the newest again.
    pub fn rewind(&mut self) {
        self.at = None;
    }
}

fn is_kept(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_LEN && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_filters_come_back_in_order() {
        let mut recall = Recall::parse("b\n\u{1b}[2J\n\nb\nc\n");
        assert!(recall.add("a") && !recall.add(" a "));
        assert_eq!(recall.text(), "a\nb\nc\n");
        let seen: Vec<String> = (0..4).filter_map(|_| recall.older().map(str::to_owned)).collect();
        assert_eq!(seen, ["a", "b", "c", "a"]);
        assert!(recall.add("c"));
        assert_eq!(recall.older(), Some("c"));
        for i in 0..100 {
            recall.add(&format!("filter {i}"));
        }
        assert_eq!(recall.text().lines().count(), MAX_RECALLED);
    }
}
