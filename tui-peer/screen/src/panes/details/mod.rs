//! Numbers of the selected file, above its map.

pub(crate) mod view;
