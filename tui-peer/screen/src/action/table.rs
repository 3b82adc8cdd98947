//! The one table of all actions. A new key is a row of it.

/// Gives every row to the macro `$rows`. First line of a row: variant of [`Action`](super::Action), its name for key
/// bindings and the palette, its heading in the help, where it makes sense, its keys unless changed, what it does in
/// a few words, other words people may search for. Second line: how the same is said without a screen (a constant or
/// variant of [`Shell`](crate::shell::Shell)), when it is possible (a function of `queries/can.rs`), and what
/// it does (with what a `Call` has and the functions that `update/actions.rs` names).
macro_rules! action_table {
    ($rows:ident) => {
        $rows! {
            Down "down" Move ALL ["j", "down"] "one row down", "",
                MOVES, always, |it| step(it.model, it.times);
            Up "up" Move ALL ["k", "up"] "one row up", "",
                MOVES, always, |it| step(it.model, -it.times);
            Left "left" Move ALL ["h", "left"] "left; previous tab", "",
                MOVES, always, |it| sideways(it.model, -it.times);
            Right "right" Move ALL ["l", "right"] "right; next tab", "",
                MOVES, always, |it| sideways(it.model, it.times);
            HalfDown "half-down" Move ALL ["ctrl-d"] "half a page down", "",
                MOVES, always, |it| half_pages(it.model, it.times);
            HalfUp "half-up" Move ALL ["ctrl-u"] "half a page up", "",
                MOVES, always, |it| half_pages(it.model, -it.times);
            PageDown "page-down" Move ALL ["pgdn"] "a page down", "",
                MOVES, always, |it| pages(it.model, it.times);
            PageUp "page-up" Move ALL ["pgup"] "a page up", "",
                MOVES, always, |it| pages(it.model, -it.times);
            ScrollDown "scroll-down" Move ALL ["ctrl-e"] "scroll the view down", "",
                MOVES, always, |it| scroll(it.model, it.times);
            ScrollUp "scroll-up" Move ALL ["ctrl-y"] "scroll the view up", "",
                MOVES, always, |it| scroll(it.model, -it.times);
            Top "top" Move ALL ["g g", "home"] "to the top", "first",
                MOVES, always, |it| edge(it.model, false);
            Bottom "bottom" Move ALL ["G", "end"] "to the bottom", "last",
                MOVES, always, |it| bottom(it.model, it.count);

            Filter "filter" Find ALL ["/"] "filter", "search find",
                Command("ls"), always, |it| filter(it.model);
            NextMatch "next" Find CHUNKS ["n"] "next lost or bad chunk", "missing problem",
                MOVES, problem, |it| chunks::update::problem(it.model, true);
            PrevMatch "previous" Find CHUNKS ["N"] "previous lost or bad chunk", "missing",
                MOVES, problem, |it| chunks::update::problem(it.model, false);
            FollowMap "follow-map" Find CHUNKS ["f"] "follow the newest chunk", "verified cursor",
                MOVES, always, |it| chunks::update::toggle_follow(it.model);
            NextActive "next-active" Find FILES ["'"] "next active download", "downloading",
                MOVES, any_unfinished, |it| next_active(it.model);
            Sort "sort" Find FILES ["o"] "sort by", "order",
                LOOKS, always, |it| sort::update::open(it.model);
            Reverse "reverse" Find FILES ["O"] "reverse the order", "sort",
                LOOKS, always, |it| lists::reverse(it.model, it.out);

            Enter "details" File ALL ["enter"] "details / open", "info heatmap",
                Command("status"), always, |it| enter(it.model, it.out);
            Download "download" File FILE ["d"] "download, or resume", "get fetch",
                Command("get"), to_download, |it| download(it.model, it.out);
            // What is here is copied there.
            DownloadTo "download-to" File FILE ["D"] "download to another folder", "save directory",
                Command("get"), target, |it| share::update::open_for_targets(it.model, it.out);
            Pause "pause" File FILE ["p"] "pause / resume", "stop continue",
                Verbs(&[Verb::Pause, Verb::Resume]), to_pause, |it| pause(it.model, it.out);
            PauseAll "pause-all" File FILE ["P"] "pause or resume all", "stop continue",
                Verbs(&[Verb::Pause, Verb::Resume]), any_unfinished, |it| pause_all(it.model, it.out);
            Contents "contents" File FILE ["C"] "choose files in the folder", "select folder",
                Command("get"), folder, |it| contents::update::open(it.model, it.out);
            Retry "retry" File FILE ["r"] "retry what failed", "again error",
                Verbs(&[Verb::Resume]), failed, |it| retry(it.model, it.out);
            Verify "verify" File FILE ["v"] "verify on disk", "check hash",
                Command("verify"), on_disk, |it| verify(it.model, it.out);
            VerifyAll "verify-all" File ALL ["g v"] "verify all of mine", "check hash",
                Command("verify"), any_here, |it| verify_all(it.model, it.out);
            Remove "remove" File FILE ["x"] "remove from the list", "delete forget cancel",
                Verbs(&[Verb::Remove]), downloaded, |it| ask_remove(it.model);
            Undo "undo-remove" File ALL ["U"] "undo a removal", "undo restore",
                NO_TIME, just_removed, |it| requests::undo(it.model, it.out);
            Clear "clear" File ALL ["c"] "clear finished downloads", "remove done list",
                TIDIES, any_finished, |it| clear(it.out);
            Raise "raise" File FILE ["+", "="] "raise the priority", "important first high",
                Verbs(&[Verb::Priority]), unfinished, |it| requests::prioritize(it.model, true, it.out);
            Lower "lower" File FILE ["-"] "lower the priority", "unimportant low",
                Verbs(&[Verb::Priority]), unfinished, |it| requests::prioritize(it.model, false, it.out);
            QueueUp "queue-up" File FILE ["{"] "move up in the queue", "earlier order",
                Verbs(&[Verb::Move]), unfinished, |it| requests::reorder(it.model, Reorder::Up, it.out);
            QueueDown "queue-down" File FILE ["}"] "move down in the queue", "later order",
                Verbs(&[Verb::Move]), unfinished, |it| requests::reorder(it.model, Reorder::Down, it.out);
            InOrder "in-order" File FILE ["g o"] "chunks in order / rarest first", "sequential stream",
                Verbs(&[Verb::Order]), unfinished, |it| requests::sequential(it.model, it.out);
            LimitOne "limit" File FILE ["g r"] "limit the speed of this one", "rate bandwidth",
                Verbs(&[Verb::Limit]), here, |it| requests::ask_limit(it.model);
            Watch "watch" File FILE ["W"] "start when somebody has it", "wait source",
                Command("get"), to_watch, |it| requests::watch(it.model, it.out);
            Unshare "unshare" File FILE ["u"] "stop sharing it", "remove stop",
                Command("unshare"), shared, |it| ask_unshare(it.model, it.out);
            Rescan "rescan" File FILE ["R"] "share the folder as it is now", "refresh update new files",
                Verbs(&[Verb::Rescan]), own_folder, |it| rescan(it.model, it.out);
            CopyLink "copy-link" File FILE ["y"] "copy link", "yank url",
                COPIES, link, |it| copy_link(it.model, it.out);
            CopyHash "copy-id" File FILE ["Y"] "copy id", "yank hash",
                COPIES, target, |it| copy_ids(it.model, it.out);
            OpenFolder "open-folder" File FILE ["e"] "open its folder (over ssh: copy its path)", "show xdg file manager yank path",
                Screen("status prints where it lies"), place, |it| open_folder(it.model, it.out);
            Why "why" File FILE ["i"] "why is this slow or stuck?", "explain info",
                Command("status"), explained, |it| explain_selected(it.model);
            Holders "who-has" File FILE ["w"] "who has which chunks", "swarm peers copies pieces bitfield",
                Screen("it is a picture; status counts the sources"), holders, |it| holders::update::toggle(it.model);
            Senders "who-sent" File FILE ["M"] "map: who sent it / how it stands", "colours sources senders mode",
                LOOKS, always, |it| chunks::update::toggle_senders(it.model);
            Mark "mark" File FILES ["space"] "mark", "select",
                MARKS, target, |it| marks::mark_rows(it.model, it.times);
            MarkRange "mark-range" File FILES ["V"] "mark a range: begin / end", "select visual",
                MARKS, range, |it| marks::range(it.model);
            MarkAll "mark-all" File FILES ["*"] "mark all / none", "select",
                MARKS, always, |it| marks::mark_all(it.model);

            Share "share" Network ALL ["s"] "share a file or folder", "add upload seed",
                Command("share"), always, |it| share::update::open(it.model, Vec::new(), it.out);
            GetLink "get-link" Network ALL ["g l"] "get a shoal:// link", "paste open url",
                Command("get"), always, |it| link::update::open(it.model);
            Leave "leave" Network ALL ["L"] "leave the network", "disconnect offline",
                Verbs(&[Verb::Leave]), network, |it| ask_leave(it.model, it.out);
            Rejoin "rejoin" Network ALL ["J"] "rejoin, or join a network", "connect online tracker",
                Verbs(&[Verb::Rejoin]), always, |it| network::rejoin(it.model, it.out);
            JoinOther "join" Network ALL ["g j"] "join another network", "connect tracker switch",
                STARTS, always, |it| network::join(it.model);
            Host "host" Network ALL [] "host a network here", "tracker start",
                STARTS, always, |it| network::host(it.out);
            CopyJoin "copy-join" Network ALL ["g y"] "invite: the join string", "copy yank join",
                Screen("the peer that hosts prints it when it is started"), join_string, |it| network::copy_join(it.model, it.out);
            Serving "serving" Network ALL ["S"] "pause / resume serving", "upload seed",
                Verbs(&[Verb::Serve]), always, |it| network::serving(it.model, it.out);
            Ban "ban" Network PEERS ["b"] "ban this peer", "block",
                Verbs(&[Verb::Ban]), to_ban, |it| requests::ask_ban(it.model);
            Bans "bans" Network ALL ["B"] "banned peers", "block unban lift",
                Verbs(&[Verb::Unban]), always, |it| picks::update::open(it.model, PickKind::Bans);
            Watches "watches" Network ALL ["g w"] "names you wait for", "watch list",
                Command("get"), always, |it| picks::update::open(it.model, PickKind::Watches);
            Announce "announce" Network ALL ["A"] "ask the tracker now", "retry reconnect",
                Verbs(&[Verb::Announce]), to_announce, |it| network::announce(it.out);

            Pane1 "files" View ALL ["1"] "Files pane", "focus",
                LOOKS, always, |it| focus(it.model, Pane::Files);
            Pane2 "chunks" View ALL ["2"] "Chunks pane", "focus heatmap map",
                LOOKS, always, |it| focus(it.model, Pane::Chunks);
            Pane3 "sources" View ALL ["3"] "Sources pane", "focus peers",
                LOOKS, always, |it| focus(it.model, Pane::Sources);
            Pane4 "log" View ALL ["4"] "Log pane", "focus",
                LOOKS, always, |it| focus(it.model, Pane::Log);
            Pane5 "transfers" View ALL ["5"] "Transfers pane", "focus downloads queue",
                LOOKS, always, |it| focus(it.model, Pane::Transfers);
            NextPane "next-pane" View ALL ["tab"] "next pane", "focus",
                LOOKS, always, |it| turn_pane(it.model, 1);
            PrevPane "prev-pane" View ALL ["backtab"] "previous pane", "focus",
                LOOKS, always, |it| turn_pane(it.model, 4);
            NextTab "next-tab" View ALL ["]"] "next tab", "",
                LOOKS, always, |it| turn_tab(it.model, 1);
            PrevTab "prev-tab" View ALL ["["] "previous tab", "",
                LOOKS, always, |it| turn_tab(it.model, 3);
            TabNetwork "tab-network" View ALL ["g n"] "Network tab", "catalogue",
                LOOKS, always, |it| open_tab(it.model, Tab::Network);
            TabDownloads "tab-downloads" View ALL ["g d"] "Downloads tab", "transfers",
                LOOKS, always, |it| open_tab(it.model, Tab::Downloads);
            TabShared "tab-shared" View ALL ["g s"] "Shared tab", "",
                LOOKS, always, |it| open_tab(it.model, Tab::Shared);
            TabPeers "tab-peers" View ALL ["g p"] "Peers tab", "uploads",
                LOOKS, always, |it| open_tab(it.model, Tab::Peers);
            Zoom "zoom" View ALL ["z"] "zoom this pane", "maximise",
                LOOKS, always, |it| zoom(it.model);
            Wider "wider" View ALL [">"] "split right / down", "resize",
                LOOKS, split, |it| it.model.split = (it.model.split + 5).min(mouse::MAX_SPLIT);
            Narrower "narrower" View ALL ["<"] "split left / up", "resize",
                LOOKS, split, |it| it.model.split = (it.model.split - 5).max(-mouse::MAX_SPLIT);
            Window "graph-window" View FILE ["t"] "how far back the graph goes", "throughput speed rate history minutes",
                LOOKS, always, |it| graph::update::turn_window(it.model);
            Settings "settings" View ALL ["f2"] "settings", "options preferences configuration limit speed rate port folder notify units colours",
                Verbs(&[Verb::Limit]), always, |it| settings::update::open(it.model);
            Theme "theme" View ALL ["T"] "next theme", "color colour dark light contrast mono",
                LOOKS, always, |it| settings::update::next_theme(it.model, it.out);
            Mouse "mouse" View ALL ["m"] "mouse on / off", "",
                LOOKS, always, |it| mouse::toggle(it.model, it.out);
            Palette "commands" View ALL [":"] "command palette", "",
                LOOKS, always, |it| palette::update::open(it.model);
            Help "help" View ALL ["?", "f1"] "help", "keys",
                Screen("--help and --version"), always, |it| help::update::open(it.model);
            Repeat "repeat" View ALL ["."] "repeat the last action", "again",
                LOOKS, repeated, |it| repeat(it.model, it.out);
            Version "version" View ALL [] "show version and build", "about release",
                Screen("--help and --version"), always, |it| version(it.model);
            Redraw "redraw" View ALL ["ctrl-l"] "redraw", "refresh",
                LOOKS, always, |it| it.out.push(Effect::Redraw);
            Suspend "suspend" View ALL ["ctrl-z"] "suspend (serving stops)", "background shell",
                Screen("the shell does it by itself"), job_control, |it| ask_suspend(it.model, it.out);
            Back "back" View ALL ["esc"] "back", "cancel close",
                MOVES, always, |it| back(it.model, it.out);
            Quit "quit" View ALL ["q"] "quit", "exit",
                Command("stop"), always, |it| ask_quit(it.model, it.out);
            Interrupt "quit-now" View ALL ["ctrl-c"] "twice: quit now", "exit",
                Command("stop"), always, |it| interrupt(it.model, "once more", it.out);

            LogMore "log-more" Log LOG ["+", "="] "more detail", "level debug",
                LOG, always, |it| it.model.log.change_level(true);
            LogLess "log-less" Log LOG ["-"] "less detail", "level error",
                LOG, always, |it| it.model.log.change_level(false);
            Follow "follow" Log LOG ["f"] "follow / pause", "",
                LOG, always, |it| log::update::toggle_paused(it.model);
            Wrap "wrap" Log LOG ["w"] "wrap long lines", "",
                LOG, always, |it| it.model.log.wrap = !it.model.log.wrap;
            LogTarget "log-target" Log LOG ["t"] "one part of the program", "filter source",
                LOG, always, |it| it.model.log.next_target();
            LogNext "log-next" Log LOG ["n"] "next (older) match", "search find",
                LOG, always, |it| log::update::search(it.model, true);
            LogPrev "log-previous" Log LOG ["N"] "previous match", "search find",
                LOG, always, |it| log::update::search(it.model, false);
            CopyLine "copy-line" Log LOG ["y"] "copy the line", "yank",
                COPIES, always, |it| log::update::copy_line(it.model, it.out);
            CopyLog "copy-log" Log LOG ["Y"] "copy all lines shown", "yank",
                COPIES, always, |it| log::update::copy_all(it.model, it.out);
        }
    };
}

pub(crate) use action_table;
