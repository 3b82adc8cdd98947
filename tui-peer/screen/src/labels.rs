//! Words and glyphs for states, the same everywhere.

use std::time::Duration;

use super::format;
use super::theme::Theme;
use engine::api::cause::Cause;
use engine::api::event::Level;
use engine::api::snapshot::{Transfer, TransferState, Upload};

/// State of a transfer in one or two words.
pub fn state_word(state: &TransferState) -> &'static str {
    state.word()
}

/// State of a transfer as a glyph.
pub fn state_glyph(transfer: &Transfer, theme: Theme) -> &'static str {
    match transfer.state {
        TransferState::Hashing | TransferState::Checking => "?",
        TransferState::Sharing if transfer.up_rate >= 1.0 || transfer.wanted_by > 0 => {
            theme.sharing()
        }
        TransferState::Sharing => theme.check(),
        TransferState::Queued | TransferState::Resolving => {
            if theme.ellipsis().len() > 2 {
                theme.ellipsis()
            } else {
                "."
            }
        }
        TransferState::Getting | TransferState::Finishing => theme.down(),
        TransferState::Paused => theme.pause(),
        TransferState::NoSource
        | TransferState::DiskFull
        | TransferState::Changed
        | TransferState::Failed(_) => "!",
    }
}

/// The last column of a row: time to go, or why there is none; empty if neither can be said yet.
pub fn outlook(transfer: &Transfer) -> String {
    let why = || transfer.why.as_ref().map(Cause::short);
    match transfer.state {
        TransferState::Sharing => transfer.news.map(|news| news.short()).unwrap_or_default(),
        TransferState::Getting => match transfer.eta_s {
            Some(seconds) => format::eta(seconds),
            None if transfer.down_rate >= 1.0 => String::new(),
            None => why().unwrap_or_else(|| "stalled".to_owned()),
        },
        TransferState::Queued | TransferState::Resolving => {
            why().unwrap_or_else(|| state_word(&transfer.state).to_owned())
        }
        TransferState::Changed => why().unwrap_or_else(|| state_word(&transfer.state).to_owned()),
        TransferState::NoSource if transfer.plan.watch => "watching".to_owned(),
        ref state => state_word(state).to_owned(),
    }
}

/// Whether a transfer needs the user or the network to do something.
pub fn is_wrong(transfer: &Transfer) -> bool {
    matches!(
        transfer.state,
        TransferState::NoSource
            | TransferState::DiskFull
            | TransferState::Changed
            | TransferState::Failed(_)
    )
}

/// Whether something moves or will without anybody's doing.
pub fn is_running(transfer: &Transfer) -> bool {
    matches!(
        transfer.state,
        TransferState::Getting
            | TransferState::Resolving
            | TransferState::Queued
            | TransferState::Finishing
            | TransferState::Checking
    )
}

/// How a peer stands with our uploads.
pub fn upload(upload: Upload) -> String {
    match upload {
        Upload::Sending => "sending".to_owned(),
        Upload::Queued(place) => format!("queued #{place}"),
        Upload::Idle => "idle".to_owned(),
    }
}

/// How long something lasts, in at most seven columns: `04:12`, `1h 02m`, `3d 4h`.
pub fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..3600 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", (seconds / 86_400).min(9999), seconds / 3600 % 24),
    }
}

/// Level of a log line, five columns.
pub fn level_word(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
    }
}
