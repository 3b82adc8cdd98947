//! How important a download is.

use serde::{Deserialize, Serialize};

/// How important a download is: which one starts first, and who gets how much when several run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Priority {
    /// A quarter of what a normal one gets.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Four times as much.
    High,
    /// Before everything else.
    First,
}

impl Priority {
    /// From the least to the most important.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::First];

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::First => "first",
        }
    }

    /// The next higher one.
    pub fn raised(self) -> Self {
        match self {
            Self::Low => Self::Normal,
            Self::Normal => Self::High,
            Self::High | Self::First => Self::First,
        }
    }

    /// The next lower one.
    pub fn lowered(self) -> Self {
        match self {
            Self::First => Self::High,
            Self::High => Self::Normal,
            Self::Normal | Self::Low => Self::Low,
        }
    }

    /// Its part of what is asked for at once, against others; [`swarm::policy::NORMAL_WEIGHT`]
    /// is normal.
    pub fn weight(self) -> u32 {
        match self {
            Self::Low => 1,
            Self::Normal => swarm::policy::NORMAL_WEIGHT,
            Self::High => 16,
            Self::First => 64,
        }
    }
}
