//! The screen without a network: join, host, demo.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::layout::centred;
use super::super::model::{GetLink, Model};
use super::paint;
use common::join::Link;

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let theme = model.theme;
    let welcome = &model.welcome;
    let whole = frame.area();
    let area = centred(Rect { height: whole.height.saturating_sub(1), ..whole }, 76, 20);
    let border = paint::Frame {
        title: vec![("Welcome to Shoal".to_owned(), theme.bold())],
        ..paint::Frame::default()
    };
    let inner = paint::boxed(frame.buffer_mut(), area, theme, true, &border);
    if inner.height < 6 {
        return;
    }
    let (x, width) = (inner.x + 2, inner.width.saturating_sub(4));
    let mut y = inner.y;
    let roomy = inner.height >= 16;
    if roomy {
        let intro = "Files travel straight between the machines of a network. To take part, join one or start one.";
        for line in paint::wrap(intro, usize::from(width)) {
            paint::text(frame.buffer_mut(), x, y, width, &line, Style::new());
            y += 1;
        }
        y += 1;
    }
    let choice = |n: usize| {
        if welcome.choice == n { (theme.bar(), theme.bold()) } else { (" ", Style::new()) }
    };
    let (bar, style) = choice(0);
    paint::text(frame.buffer_mut(), x - 1, y, 1, bar, Style::new());
    paint::text(
        frame.buffer_mut(),
        x + 1,
        y,
        width,
        "Join a network: paste the line that its tracker printed",
        style,
    );
    y += 1;
    let label = paint::text(frame.buffer_mut(), x + 3, y, width, "> ", theme.bold());
    let field_width = width.saturating_sub(6);
    if welcome.choice == 0 && model.dialogs.is_empty() {
        super::field::draw(
            frame,
            theme,
            (label, y),
            field_width,
            &welcome.field,
            if welcome.field.text().is_empty() { "shoal://" } else { "" },
        );
    } else {
        paint::text(frame.buffer_mut(), label, y, field_width, welcome.field.text(), Style::new());
    }
    y += 1;
    let buf = frame.buffer_mut();
    let checked = GetLink { field: welcome.field.clone(), joining: true, error: None }.parsed();
    let (text, tone) = match (&welcome.error, checked) {
        (Some(error), _) => (format!("! {error}"), theme.error()),
        (None, Some(Err(why))) => (format!("! {why}"), theme.warn()),
        (None, Some(Ok(link))) => {
            let join = match &link {
                Link::Join(join) => join,
                Link::File(file) => file.join(),
            };
            let kind = if join.secret().is_some() { "closed network" } else { "open network" };
            (format!("{} {kind} at {}; Enter joins", theme.check(), join.address()), theme.accent())
        }
        (None, None) if welcome.busy => ("working".to_owned(), theme.dim()),
        (None, None) => (String::new(), Style::new()),
    };
    let lines = paint::wrap(&text, usize::from(field_width));
    for line in lines.iter().take(2) {
        paint::text(buf, x + 3, y, field_width, line, tone);
        y += 1;
    }
    y += u16::from(lines.is_empty());
    let mut offers = vec![(
        "Host here: start a tracker in this program and join it",
        "You get a line for the others to paste.",
        1,
    )];
    if model.setting.demo {
        offers.push((
            "Demo: a small network on this machine, to look around",
            "Nothing leaves this machine; everything is removed at the end.",
            2,
        ));
    }
    for (title, note, n) in offers {
        y += u16::from(roomy);
        let (bar, style) = choice(n);
        paint::text(buf, x - 1, y, 1, bar, Style::new());
        paint::text(buf, x + 1, y, width, title, style);
        y += 1;
        if roomy {
            paint::text(buf, x + 3, y, width.saturating_sub(3), note, theme.dim());
            y += 1;
        }
    }
    if roomy {
        let privacy = "Others will see: your address and port, and names, sizes and hashes of what you share. Nothing else.";
        let lines = paint::wrap(privacy, usize::from(width));
        let first = inner.bottom().saturating_sub(u16::try_from(lines.len()).unwrap_or(0));
        for (y, line) in (first.max(y + 1)..inner.bottom()).zip(&lines) {
            paint::text(buf, x, y, width, line, theme.dim());
        }
    }
    let bottom = whole.bottom().saturating_sub(1);
    let mut at = whole.x + 1;
    if let Some(toast) = model.toasts.newest() {
        paint::text(
            buf,
            at,
            bottom,
            whole.width.saturating_sub(2),
            &toast.text,
            paint::tone(theme, toast.tone),
        );
        return;
    }
    let demo = if model.setting.demo { "d" } else { "" };
    for (key, word) in [
        ("Up Down", "choose"),
        ("Enter", "do it"),
        ("h", "host"),
        (demo, "demo"),
        ("F1", "help"),
        ("q", "quit"),
    ] {
        if key.is_empty() {
            continue;
        }
        at = paint::text(
            buf,
            at,
            bottom,
            whole.right().saturating_sub(at),
            key,
            theme.bold().patch(theme.accent()),
        );
        at = paint::text(
            buf,
            at,
            bottom,
            whole.right().saturating_sub(at),
            &format!(" {word}  "),
            Style::new(),
        );
    }
}
