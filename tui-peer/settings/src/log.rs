//! Where the log goes.

use std::path::PathBuf;
use std::str::FromStr;

/// Where the log goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LogTo {
    /// `log/shoal.log` in the state folder.
    #[default]
    State,
    File(PathBuf),
    /// Nowhere.
    None,
}

impl FromStr for LogTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err("write a file name, \"none\" or \"state\"".to_owned()),
            "state" => Ok(Self::State),
            "none" => Ok(Self::None),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_written() {
        assert_eq!("none".parse(), Ok(LogTo::None));
        assert_eq!("a/b".parse(), Ok(LogTo::File(PathBuf::from("a/b"))));
        assert!("".parse::<LogTo>().is_err());
    }
}
