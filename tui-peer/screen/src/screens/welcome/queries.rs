//! The lines of the welcome screen, and what stands in them.

use crate::model::{Model, Stop};
use crate::queries::written;

/// The lines there are.
pub(crate) fn stops(model: &Model) -> Vec<Stop> {
    let near = model.welcome.near.networks.iter().map(|network| Stop::Near(network.key));
    let mut stops = vec![Stop::Tracker];
    stops.extend(near);
    let rest = Stop::ALL.into_iter().filter(|stop| *stop != Stop::Tracker);
    stops.extend(rest.filter(|stop| *stop != Stop::Demo || model.setting.demo));
    stops
}

/// The address to listen on, as it stands in its field.
pub(crate) fn listen_text(model: &Model) -> String {
    let now = || model.snap.me.listen.to_string();
    model.welcome.listen.as_ref().map_or_else(now, |field| field.text().to_owned())
}

/// The folder for downloads, as it stands in its field.
pub(crate) fn downloads_text(model: &Model) -> String {
    let now = || written(model, &model.snap.me.downloads);
    model.welcome.downloads.as_ref().map_or_else(now, |field| field.text().to_owned())
}

/// Our name, as it stands in its field.
pub(crate) fn nick_text(model: &Model) -> String {
    let now = || model.snap.me.nick.clone();
    model.welcome.nick.as_ref().map_or_else(now, |field| field.text().to_owned())
}
