//! Goal, figure, ratio.

use std::fmt;

/// What was measured, line by line.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Line>);

#[derive(Debug)]
struct Line {
    what: String,
    unit: &'static str,
    goal: Goal,
    figure: f64,
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// For comparison only.
    None,
}

impl Table {
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        goal: Goal,
        figure: f64,
    ) {
        let line = Line { what: what.into(), unit, goal, figure };
        println!("  {line}");
        self.0.push(line);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:52} {:>12} {:>12}  figure / goal", "what", "figure", "goal")?;
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = format!("{}, {}", self.what, self.unit);
        let (goal, ratio, met) = match self.goal {
            Goal::AtMost(goal) => (format!("<= {goal}"), self.figure / goal, self.figure <= goal),
            Goal::AtLeast(goal) => (format!(">= {goal}"), self.figure / goal, self.figure >= goal),
            Goal::None => return write!(f, "{what:52} {:12.2}", self.figure),
        };
        let missed = if met { "" } else { "  MISSED" };
        write!(f, "{what:52} {:12.2} {goal:>12}  {ratio:.2}{missed}", self.figure)
    }
}
